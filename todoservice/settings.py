"""The environment, read once per app."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from todoservice.database.url import parse_url

PREFIX = "TODOSERVICE_"


Seconds = Annotated[float, Field(ge=0.001, le=86_400)]
"""From a millisecond, PostgreSQL's own unit, to a day."""


class StartupError(SystemExit):
    """Raised by `create_app` where it cannot make the app. The message says what to mend.

    It derives from SystemExit, so that a server started from a shell prints the message and no traceback.
    """


class InvalidSettings(StartupError):
    """A setting has a value that cannot be used. The message names the variables and never shows a value."""


def variable(field: str) -> str:
    """Return the environment variable that sets `field`."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"


class Settings(BaseSettings):
    """What an operator may configure. Each field is the variable `TODOSERVICE_<FIELD>`, but for the two Neon URLs."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True,
        populate_by_name=True,
    )  # fmt: skip

    neon_database_url: Annotated[SecretStr | None, Field(validation_alias="NEON_DATABASE_URL")] = None
    """Where the service reads and writes. Unset: the embedded server."""
    neon_migration_database_url: Annotated[SecretStr | None, Field(validation_alias="NEON_MIGRATION_DATABASE_URL")] = (
        None
    )
    """The owner's direct (unpooled) connection, for migrations."""
    data_dir: Path | None = None
    """Where the embedded server keeps its data. Unset: the platform's folder for user data."""
    auto_migrate: bool = False
    """Migrate at start, through `NEON_MIGRATION_DATABASE_URL`."""
    require_isolation: bool = False
    """Refuse to start where the database could let one user's rows be seen by another."""
    provision_users: bool = True
    """Add a user who is seen for the first time when they first write."""
    pool_size: Annotated[int, Field(ge=1, le=1000)] = 10
    """Connections of each process."""
    pool_timeout: Seconds = 5.0
    """Seconds to wait for a free connection."""
    pool_recycle: Seconds = 1800.0
    """Seconds after which a connection is replaced."""
    pool_ping_after: Seconds = 60.0
    """Seconds of idleness after which a connection is tried before it is used: a round trip."""
    connect_timeout: Seconds = 10.0
    """Seconds to wait for a new connection, name look-up and authentication included."""
    request_budget: Seconds = 15.0
    """Seconds in which a request that meets a failing database is tried again."""
    statement_timeout: Seconds = 10.0
    """Seconds after which the database ends a statement."""
    shutdown_timeout: Seconds = 10.0
    """Seconds in which work under way may end when the service shuts down."""
    allowed_functions: str | None = None
    """Functions, separated by commas, that statements may call besides the audit's own list."""
    statement_characters: Annotated[int, Field(ge=1000)] = 20_000
    """The longest statement that the audit proves."""
    statement_tokens: Annotated[int, Field(ge=100)] = 1_500
    """The most tokens of a statement that the audit proves."""
    statement_depth: Annotated[int, Field(ge=5, le=24)] = 20
    """The deepest nesting of a statement that the audit proves: the parser descends about 35 calls for each level."""
    max_body_size: PositiveInt = 1024 * 1024
    """Bytes of a request's body."""
    identity: str | None = None
    """Who says who is asking: `header`, or a plugin. Unset: the only plugin that does, else `header`."""
    block: str | None = None
    """Installed plugins, separated by commas, that are not to be used."""
    only: str | None = None
    """Installed plugins, separated by commas, that are to be used, and no others."""
    plugin_errors: Literal["refuse", "skip"] = "refuse"
    """What to do where a plugin is faulty: refuse to start, or start without it."""
    plugins_endpoint: bool = False
    """Answer `GET /-/plugins` to everyone with the plugins and their versions."""

    @field_validator("neon_database_url", "neon_migration_database_url")
    @classmethod
    def _readable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_url(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _migrations_have_an_owner(self) -> Self:
        if self.auto_migrate and self.neon_database_url and not self.neon_migration_database_url:
            msg = (
                "TODOSERVICE_AUTO_MIGRATE needs NEON_MIGRATION_DATABASE_URL: "
                "set it to the owner's direct connection, or unset TODOSERVICE_AUTO_MIGRATE"
            )
            raise ValueError(msg)
        return self

    @property
    def database_url(self) -> URL | None:
        """The URL of the service's connections, or None for the embedded server."""
        return parse_url(self.neon_database_url.get_secret_value()) if self.neon_database_url else None

    @property
    def migration_url(self) -> URL | None:
        """The URL for migrations: `NEON_MIGRATION_DATABASE_URL`, else the service's own."""
        if self.neon_migration_database_url:
            return parse_url(self.neon_migration_database_url.get_secret_value())
        return self.database_url

    @property
    def functions(self) -> list[str]:
        """The names in `allowed_functions`."""
        return _names(self.allowed_functions)

    @property
    def blocked(self) -> list[str]:
        """The names in `block`."""
        return _names(self.block)

    @property
    def allowed(self) -> list[str]:
        """The names in `only`."""
        return _names(self.only)

    @classmethod
    def load(cls, values: Mapping[str, Any] | None = None) -> Self:
        """Read the environment, with `values`, by the names of the fields, in place of what they name.

        Raises InvalidSettings, one line for each fault.
        """
        fields = cls.model_fields
        given = {str(fields[name].validation_alias or name): value for name, value in (values or {}).items()}
        try:
            return cls(**given)
        except ValidationError as error:
            raise InvalidSettings("\n".join(_line(fault) for fault in error.errors(include_url=False))) from None


def unknown_variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield a message and a hint for each variable that looks as one of ours and is none, those of plugins left out."""
    known = {variable(field) for field in Settings.model_fields}
    for name in sorted(environment.keys() - known):
        close = get_close_matches(name.upper(), known, 1, 0.8)
        ours = name.upper().startswith(PREFIX) and "__" not in name and not name.startswith(f"{PREFIX}TEST_")
        if name.upper() not in known and (ours or (name.startswith("NEON_") and close)):
            yield f"{name} sets nothing", f"did you mean {close[0]}?" if close else "unset it"


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _line(fault: Any) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ")
    if not fault["loc"]:
        return message
    name = str(fault["loc"][0])
    return f"{variable(name) if name in Settings.model_fields else name}: {message}"
