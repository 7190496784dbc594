"""What an operator configures: `TODOSERVICE_JWT__<FIELD>`."""

from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal, Self

import httpx2
import jwt
from jwt.exceptions import InvalidKeyError, PyJWTError
from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"
]
Named = Annotated[str, Field(min_length=1)]
_HMAC: Final = "HS"
"""How the algorithms begin whose key is a secret that both sides know."""


class JwtSettings(BaseModel):
    """Whose tokens are taken, and how they are verified."""

    issuer: Named
    """What `iss` has to be, to the character."""
    audience: Named
    """What `aud` has to be or to hold: the name of this service at the issuer."""
    algorithm: Algorithm = "RS256"
    """The one algorithm (RFC 7518, section 3.1, and RFC 8037) that tokens are signed by."""
    jwks_url: str | None = None
    """Where the issuer publishes its keys (RFC 7517, section 5)."""
    key: SecretStr | None = None
    """In place of that the one key: a public one as PEM, or for HS256, HS384 and HS512 the secret."""
    leeway: Annotated[float, Field(ge=0, le=300)] = 30.0
    """Seconds by which the clocks of the issuer and of the service may differ."""
    subjects: Literal["uuid", "hashed"] = "uuid"
    """How the user's id comes from `sub`: it is one, or it is hashed with the issuer to one (UUIDv5)."""

    @field_validator("jwks_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        try:
            url = httpx2.URL(value or "https://localhost")
        except httpx2.InvalidURL as error:
            raise ValueError(str(error)) from error
        if not url.host or url.scheme not in {"https", "http"}:
            msg = "Give a URL that begins with https"
            raise ValueError(msg)
        if url.scheme == "http" and not _is_loopback(url.host):
            msg = "Keys that come over http can be anybody's: give a URL that begins with https"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.jwks_url is None) is (self.key is None):
            msg = "Set either TODOSERVICE_JWT__JWKS_URL or TODOSERVICE_JWT__KEY"
            raise ValueError(msg)
        if self.algorithm.startswith(_HMAC) and self.key is None:
            msg = "The algorithm needs a secret, which nobody publishes: set TODOSERVICE_JWT__KEY to it"
            raise ValueError(msg)
        if self.key is not None:
            self.static_key()
        return self

    def static_key(self) -> Any:
        """Return `key` as PyJWT has it. Raises ValueError, without showing it, where it is none for `algorithm`."""
        text = self.key.get_secret_value() if self.key else ""
        wanted = "a secret of at least as many bits as its name says"
        if not self.algorithm.startswith(_HMAC):
            # An .env file holds a PEM in one line.
            text = text.replace("\\n", "\n")
            wanted = "a public key as PEM"
        if "PRIVATE KEY" in text:
            msg = "TODOSERVICE_JWT__KEY is a private key, which only the issuer should have: give the public one"
            raise ValueError(msg)
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        try:
            key = algorithm.prepare_key(text)
            if weakness := algorithm.check_key_length(key):
                raise InvalidKeyError(weakness)
        except (PyJWTError, ValueError, TypeError) as error:
            msg = f"TODOSERVICE_JWT__KEY is no key for TODOSERVICE_JWT__ALGORITHM, which needs {wanted}"
            raise ValueError(msg) from error
        return key


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
