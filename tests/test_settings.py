"""The environment, read once per app."""

import pytest

from todoservice.settings import InvalidSettings, Settings, variable


def refused(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """Return the message that these variables stop the start with."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings) as error:
        Settings.load()
    return str(error.value)


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field is TODOSERVICE_ and its name, but for the two Neon URLs."""
    monkeypatch.setenv("TODOSERVICE_POOL_SIZE", "3")
    monkeypatch.setenv("NEON_DATABASE_URL", "postgres://u:p@localhost/db")
    settings = Settings.load()
    assert settings.pool_size == 3
    assert settings.database_url is not None
    assert settings.database_url.database == "db"


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a compose file writes what it does not set."""
    monkeypatch.setenv("NEON_DATABASE_URL", "")
    assert Settings.load().database_url is None


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each fault."""
    message = refused(monkeypatch, TODOSERVICE_POOL_SIZE="0", TODOSERVICE_POOL_TIMEOUT="soon")
    assert message.splitlines() == [
        "TODOSERVICE_POOL_SIZE: Input should be greater than or equal to 1",
        "TODOSERVICE_POOL_TIMEOUT: Input should be a valid number, unable to parse string as a number",
    ]


@pytest.mark.parametrize("value", ["inf", "nan", "1e300", "0.0001", "-1", "0"])
def test_a_time_limit_is_one_that_the_database_takes(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """From a millisecond to a day."""
    assert refused(monkeypatch, TODOSERVICE_STATEMENT_TIMEOUT=value).startswith("TODOSERVICE_STATEMENT_TIMEOUT: ")


def test_a_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the message of a bad URL nor in the settings' own representation."""
    message = refused(monkeypatch, NEON_DATABASE_URL="mysql://u:secret@h/db")
    assert message.startswith("NEON_DATABASE_URL: names the driver 'mysql'")
    assert "secret" not in message
    assert "secret" not in repr(Settings.load({"neon_database_url": "postgres://u:secret@h/db"}))


def test_auto_migrate_needs_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own role may not change the schema."""
    message = refused(monkeypatch, TODOSERVICE_AUTO_MIGRATE="true", NEON_DATABASE_URL="postgres://u:p@h/db")
    assert message == (
        "TODOSERVICE_AUTO_MIGRATE needs NEON_MIGRATION_DATABASE_URL: "
        "set it to the owner's direct connection, or unset TODOSERVICE_AUTO_MIGRATE"
    )


def test_migrations_use_the_owners_connection() -> None:
    """NEON_MIGRATION_DATABASE_URL where it is set, else the service's own."""
    urls = {"neon_database_url": "postgres://app@h/db", "neon_migration_database_url": "postgres://owner@h/db"}
    both = Settings.load(urls).migration_url
    one = Settings.load({"neon_database_url": "postgres://app@h/db"}).migration_url
    assert both is not None
    assert one is not None
    assert (both.username, one.username) == ("owner", "app")


def test_every_setting_says_what_it_is() -> None:
    """Each has a docstring's worth of description in the README's table."""
    assert {variable(field) for field in Settings.model_fields} >= {"NEON_DATABASE_URL", "TODOSERVICE_POOL_SIZE"}
