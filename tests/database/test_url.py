"""`NEON_DATABASE_URL` as people paste it."""

import pytest

from todoservice.database.url import BadDatabaseURL, parse_url, unpooled

NEON = "neondb_owner:npg_secret@ep-cool-darkness-123456-pooler.us-east-2.aws.neon.tech/neondb"


@pytest.mark.parametrize("spelling", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_spelling_means_psycopg2(spelling: str) -> None:
    """SQLAlchemy would read a bare postgresql:// as psycopg 3, and postgres:// not at all."""
    assert parse_url(f"{spelling}://{NEON}").drivername == "postgresql+psycopg2"


@pytest.mark.parametrize("pasted", ["  {}\n", "'{}'", '"{}"', "psql '{}'"])
def test_what_the_console_copies_is_read(pasted: str) -> None:
    """White space, quotes and a leading psql are taken off."""
    url = parse_url(pasted.format(f"postgresql://{NEON}?sslmode=require"))
    assert (url.username, url.database) == ("neondb_owner", "neondb")


def test_parameters_are_kept() -> None:
    """What the user gave goes to libpq as it is, decoded."""
    url = parse_url(f"postgresql://{NEON}?channel_binding=require&options=endpoint%3Dep-x&sslmode=verify-full")
    assert dict(url.query) == {"channel_binding": "require", "options": "endpoint=ep-x", "sslmode": "verify-full"}


def test_a_password_with_reserved_characters_is_read() -> None:
    """Percent-encoding is undone once."""
    assert parse_url("postgresql://u:p%40s%25s@localhost/db").password == "p@s%s"


@pytest.mark.parametrize("host", ["ep-x.eu.aws.neon.tech", "10.0.0.7", "[2001:db8::1]"])
def test_another_machine_is_reached_over_tls(host: str) -> None:
    """A host that is not this machine gets sslmode=require where none is given."""
    assert parse_url(f"postgresql://u:p@{host}/db").query["sslmode"] == "require"


@pytest.mark.parametrize("port", ["", "&port=6543"])
def test_a_host_among_the_parameters(port: str) -> None:
    """It is a host like any other: TLS for another machine, and a pooler's is known as one."""
    url = parse_url(f"postgresql://u:p@/db?host=ep-x-pooler.eu.aws.neon.tech{port}")
    assert (url.host, url.port) == ("ep-x-pooler.eu.aws.neon.tech", int(port[6:] or 0) or None)
    assert dict(url.query) == {"sslmode": "require"}
    assert unpooled(url).host == "ep-x.eu.aws.neon.tech"


@pytest.mark.parametrize("host", ["/run/postgresql", "a.test,b.test"])
def test_a_socket_or_several_hosts_among_the_parameters(host: str) -> None:
    """They stay there, as libpq has them; other machines are reached over TLS."""
    url = parse_url(f"postgresql://u:p@/db?host={host}")
    assert (url.host, url.query["host"]) == (None, host)
    assert url.query.get("sslmode") == (None if host.startswith("/") else "require")


def test_the_machines_own_authorities() -> None:
    """With them libpq takes nothing weaker than verify-full, which it gets where no sslmode is given."""
    assert parse_url("postgresql://u:p@db.test/db?sslrootcert=system").query["sslmode"] == "verify-full"


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({"PGSSLMODE": "verify-full"}, "verify-full"),
        ({"PGSSLMODE": "verify-ca"}, "verify-ca"),
        ({"PGSSLMODE": "disable"}, "require"),
        ({"PGSSLROOTCERT": "ca.pem"}, "require"),
        ({"PGSSLROOTCERT": "system"}, "verify-full"),
    ],
    ids=str,
)
def test_what_the_environment_verifies_is_not_weakened(
    environment: dict[str, str], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the URL has no sslmode, libpq's variables are heard, but not to go without TLS."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert parse_url("postgresql://u:p@db.test/db").query["sslmode"] == mode
    assert parse_url("postgresql://u:p@db.test/db?sslmode=require").query["sslmode"] == "require"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", ""])
def test_this_machine_is_reached_as_it_is(host: str) -> None:
    """A local server often has no TLS."""
    assert "sslmode" not in parse_url(f"postgresql://u:p@{host}/db").query


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg", "mysql", "sqlite"])
def test_another_driver_is_refused(driver: str) -> None:
    """The message names the driver and says what to write."""
    with pytest.raises(BadDatabaseURL) as refused:
        parse_url(f"{driver}://u:secret@h/db")
    assert str(refused.value) == (
        f"names the driver {driver!r}, and the service speaks psycopg2 only: "
        "write postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require"
    )


@pytest.mark.parametrize(
    "text", ["", "secret", "://secret", "postgresql://u:secret@h:port/db", "postgresql://u:secret@h"]
)
def test_what_is_no_url_is_refused_without_being_shown(text: str) -> None:
    """The text may hold a password, so the message does not quote it."""
    with pytest.raises(BadDatabaseURL, match="write postgresql://USER") as refused:
        parse_url(text)
    assert "secret" not in str(refused.value)


def test_an_at_sign_in_the_password_is_told() -> None:
    """Else a part of the password would be taken for the host, and shown."""
    with pytest.raises(BadDatabaseURL) as refused:
        parse_url("postgresql://u:p@ss@host/db")
    assert str(refused.value) == "has an @ in its password: write %40 for it"


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("nonsense=1", 'has a parameter that libpq does not know: invalid dsn: invalid connection option "nonsense"'),
        ("connect_timeout=abc", "has a connect_timeout that is no number: write seconds, such as connect_timeout=10"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_told(query: str, why: str) -> None:
    """Before the first connection fails on it."""
    with pytest.raises(BadDatabaseURL) as refused:
        parse_url(f"postgresql://u:p@localhost/db?{query}")
    assert str(refused.value) == why
