"""What is refused at the start: the plugin, the variable and the mend are named, and the header never steps in."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from issuing import AUDIENCE, ISSUER, P256, P384, RSA, SECRET, Signer

from todoservice import create_app
from todoservice.plugins import PluginError

WEAK = Signer("RS256", rsa.generate_private_key(65537, 1024))  # noqa: S505 - it is to be refused
RIGHT = {"ISSUER": ISSUER, "AUDIENCE": AUDIENCE}
URL = "https://issuer.example/keys"
HTTPS = "ive a URL that begins with https"
NO_KEY = "TODOSERVICE_JWT__KEY is no key for TODOSERVICE_JWT__ALGORITHM"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, ["TODOSERVICE_JWT__ISSUER", "TODOSERVICE_JWT__AUDIENCE"]),
        (RIGHT, ["Set either TODOSERVICE_JWT__JWKS_URL or TODOSERVICE_JWT__KEY"]),
        (RIGHT | {"JWKS_URL": URL, "KEY": RSA.pem()}, ["Set either TODOSERVICE_JWT__JWKS_URL or TODOSERVICE_JWT__KEY"]),
        (RIGHT | {"ISSUER": "", "JWKS_URL": URL}, ["TODOSERVICE_JWT__ISSUER"]),
        (RIGHT | {"AUDIENCE": "", "JWKS_URL": URL}, ["TODOSERVICE_JWT__AUDIENCE"]),
        (RIGHT | {"JWKS_URL": "http://issuer.example/keys"}, ["JWKS_URL", HTTPS]),
        (
            RIGHT | {"JWKS_URL": "http://127.0.0.1.issuer.example/keys"},
            ["JWKS_URL", HTTPS],
        ),
        (
            RIGHT | {"JWKS_URL": "http://127.0.0.1@issuer.example/keys"},
            ["JWKS_URL", HTTPS],
        ),
        (RIGHT | {"JWKS_URL": "file:///etc/keys"}, ["JWKS_URL", HTTPS]),
        (RIGHT | {"JWKS_URL": "issuer.example/keys"}, ["JWKS_URL", HTTPS]),
        (RIGHT | {"JWKS_URL": "https://"}, ["JWKS_URL", HTTPS]),
        (RIGHT | {"JWKS_URL": "https://issuer.example:x/keys"}, ["JWKS_URL", "Invalid port"]),
        (RIGHT | {"JWKS_URL": URL, "ALGORITHM": "none"}, ["TODOSERVICE_JWT__ALGORITHM"]),
        (RIGHT | {"JWKS_URL": URL, "ALGORITHM": "rs256"}, ["TODOSERVICE_JWT__ALGORITHM"]),
        (RIGHT | {"JWKS_URL": URL, "ALGORITHM": "HS256"}, ["The algorithm needs a secret", "set TODOSERVICE_JWT__KEY"]),
        (
            RIGHT | {"KEY": SECRET},
            [NO_KEY, "which needs a public key as PEM"],
        ),
        (RIGHT | {"KEY": RSA.private_pem()}, ["is a private key", "give the public one"]),
        (RIGHT | {"KEY": P256.pem()}, [NO_KEY]),
        (RIGHT | {"KEY": WEAK.pem()}, [NO_KEY]),
        (RIGHT | {"KEY": P384.pem(), "ALGORITHM": "ES256"}, [NO_KEY]),
        (
            RIGHT | {"KEY": "short", "ALGORITHM": "HS256"},
            [NO_KEY, "which needs a secret of at least"],
        ),
        (RIGHT | {"KEY": SECRET[:40], "ALGORITHM": "HS512"}, [NO_KEY]),
        (RIGHT | {"KEY": RSA.pem(), "ALGORITHM": "HS256"}, [NO_KEY]),
        (RIGHT | {"JWKS_URL": URL, "LEEWAY": "301"}, ["TODOSERVICE_JWT__LEEWAY"]),
        (RIGHT | {"JWKS_URL": URL, "LEEWAY": "-1"}, ["TODOSERVICE_JWT__LEEWAY"]),
        (RIGHT | {"JWKS_URL": URL, "SUBJECTS": "email"}, ["TODOSERVICE_JWT__SUBJECTS"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_settings_that_are_wrong_stop_the_start(
    settings: dict[str, str],
    told: list[str],
    todoservice_settings: Any,
    todoservice_plugins: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every one is told of; the key is not shown."""
    for name in RIGHT | {"JWKS_URL": URL}:
        monkeypatch.delenv(f"TODOSERVICE_JWT__{name}")
    for name, value in settings.items():
        monkeypatch.setenv(f"TODOSERVICE_JWT__{name}", value)
    with pytest.raises(PluginError) as refused:
        create_app(todoservice_settings, plugins=todoservice_plugins)
    words = str(refused.value)
    assert "P309 jwt" in words
    for expected in told:
        assert expected in words
    for line in settings.get("KEY", "").splitlines():
        assert line not in words


@pytest.mark.parametrize("policy", ["refuse", "skip"])
@pytest.mark.parametrize("identity", ["jwt", None])
def test_nobody_falls_back_to_the_header(
    identity: str | None,
    policy: Any,
    todoservice_settings: Any,
    todoservice_plugins: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where faulty plugins are skipped: this one says who is asking."""
    monkeypatch.delenv("TODOSERVICE_JWT__ISSUER")
    chosen = todoservice_settings.model_copy(update={"identity": identity, "plugin_errors": policy})
    with pytest.raises(PluginError):
        create_app(chosen, plugins=todoservice_plugins)
