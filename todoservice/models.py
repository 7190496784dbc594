"""The shape of every row: owned by a user, or shared by all."""

import threading
import time
from datetime import UTC, datetime, timedelta
from secrets import randbits
from typing import Any, Final, Protocol
from uuid import UUID

from sqlalchemy import MetaData, text
from sqlmodel import Field, SQLModel

SCHEMA: Final = "todoservice"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    },
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_clock_lock = threading.Lock()
_last_microsecond = 0


def _microseconds() -> int:
    """Read the clock: microseconds since 1970, never the same value twice in this process."""
    global _last_microsecond  # noqa: PLW0603 - a clock is the process's
    with _clock_lock:
        _last_microsecond = max(_last_microsecond + 1, time.time_ns() // 1000)
        return _last_microsecond


def uuid7(at: datetime | None = None) -> UUID:
    """Return a UUIDv7 made now, or for the instant `at` (aware).

    RFC 9562, section 6.2, method 3: the twelve bits after the milliseconds carry their fraction, so that ids of one
    process sort in the order they were made and `uuid7_time` reads the very microsecond back. The standard library
    (3.14) and the kept libraries count within the millisecond instead, which leaves `created_at` a second clock.
    """
    micros = _microseconds() if at is None else (at - _EPOCH) // timedelta(microseconds=1)
    millis, fraction = divmod(micros, 1000)
    return UUID(int=millis << 80 | 7 << 76 | (fraction * 4096 // 1000) << 64 | 2 << 62 | randbits(62))


def uuid7_time(id: UUID) -> datetime:
    """Return the instant, in UTC to the microsecond, at which `uuid7` made this id."""
    millis, fraction = id.int >> 80, id.int >> 64 & 0xFFF
    return _EPOCH + timedelta(microseconds=millis * 1000 + -(-fraction * 1000 // 4096))


class _Row(Protocol):
    """What SQLAlchemy hands to a default that looks at the row."""

    def get_current_parameters(self) -> dict[str, Any]: ...


def _time_of_id(row: _Row) -> datetime:
    """Return the instant that the row's id was made at: now if PostgreSQL makes it, as in INSERT ... SELECT."""
    id = row.get_current_parameters().get("id")
    return uuid7_time(id) if isinstance(id, UUID) else datetime.now(UTC)


def created_at() -> Any:
    """Return the field of a column that says when an owned row was made: read from its id, so that both are one clock.

    Use it as `created_at: datetime = created_at()`.
    """
    return Field(default_factory=lambda: datetime.now(UTC), sa_column_kwargs={"default": _time_of_id})


class _Base(SQLModel):
    metadata = metadata


class User(_Base, table=True):
    """Someone who owns rows. Added when they first write, unless `TODOSERVICE_PROVISION_USERS` is off."""

    __tablename__ = "users"

    id: UUID = Field(primary_key=True)
    created_at: datetime = Field(
        default_factory=lambda: datetime.now(UTC), sa_column_kwargs={"server_default": text("now()")}
    )


class Owned(_Base):
    """The base of every table whose rows belong to a user.

    The primary key is (user_id, id): the owner is part of every key, so a foreign key to an owned row is composite
    and cannot point at another user's. Both columns are the host's to fill: `id` is a UUIDv7, `user_id` the scope's.
    """

    user_id: UUID = Field(primary_key=True, foreign_key=f"{SCHEMA}.users.id", ondelete="CASCADE")
    id: UUID = Field(default_factory=uuid7, primary_key=True)


class Shared(_Base):
    """The base of every table whose rows belong to no one: the same for all users, and read-only to the service."""
