"""What a failure of the database means to the client."""

import sys
from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from todoservice.database.values import UnusableValue
from todoservice.problems import Conflict, InvalidRequest, Problem, ServiceUnavailable, UnknownUser

UNKNOWN_USER: Final = "TS403"
"""The SQLSTATE that the function `todoservice.require_user` raises."""

FAILURES: Final = (PoolTimeout, StatementError, TimeoutError, ValueError)
"""What a statement may fail with. TimeoutError is ours for a server that hangs, ValueError psycopg2's for a text that
PostgreSQL cannot hold, and ours for a value that cannot be written."""


def _too_long() -> Problem:
    return ServiceUnavailable("The database took too long to answer: try again, or ask for less.")


def _bad_value() -> Problem:
    return InvalidRequest(("request", "A value is out of the range that can be stored"))


def _no_changes() -> Problem:
    return ServiceUnavailable("The database takes no changes at the moment: try again later.", retry_after=60)


_TAKES_NO_CHANGES: Final = ("25006", "53100")
"""SQLSTATE read_only_sql_transaction, as of a read replica, and disk_full, as over a project's size limit."""

_CANCELED: Final = "57014"
"""SQLSTATE query_canceled, by the time limit of the statement."""

_PROBLEMS: Final[Mapping[str, Callable[[], Problem]]] = {
    UNKNOWN_USER: UnknownUser,
    _CANCELED: _too_long,
    "08": ServiceUnavailable,
    **dict.fromkeys(_TAKES_NO_CHANGES, _no_changes),
    "40": ServiceUnavailable,  # serialization and deadlocks
    "53": ServiceUnavailable,  # resources
    "55P03": ServiceUnavailable,  # lock_not_available
    "57": ServiceUnavailable,  # shutdown and recovery
    "22": _bad_value,
    "54000": _bad_value,  # program_limit_exceeded: an array of 7 dimensions, a text too long for its index
    "23502": _bad_value,  # not_null_violation
    "23514": _bad_value,  # check_violation
    "23": Conflict,
}
"""By SQLSTATE or its class (PostgreSQL, Appendix A), the first that fits."""


_QUEUE: Final = "query_wait_timeout"
"""What PgBouncer says to whom it kept waiting for a connection of its own."""
_NOT_PASSED_ON: Final = (_QUEUE, "server_login_retry")
"""What PgBouncer says to whom it had no connection for: the statement has not left it."""

_PERMANENT: Final = (
    "endpoint is disabled", "endpoint has been disabled", "endpoint cannot be found", "could not be found, or you",
    "Endpoint ID is not specified", "Inconsistent project name", "Check your quotas", "quota exceeded",
    "Upgrade your plan", "concurrently active endpoints", "no such database", "authentication failed",
    "is protected and cannot be used", "no password supplied", "is not permitted to log in", "no such user",
    "permission denied for database", "pg_hba.conf",
    "unsupported startup parameter", "does not exist", "connection is insecure", "is not allowed to connect",
    "certificate", "does not support SSL", "channel binding",
)  # fmt: skip
"""In the words of PostgreSQL, libpq, PgBouncer, and Neon: its proxy has words of its own, and hands on those that its
control plane has for people (neon.com/docs/connect/connection-errors)."""


def problem_for(error: Exception) -> Problem | None:
    """Return the Problem that stands for `error`, one of `FAILURES`, or None for a fault of the service's own."""
    match error:
        case PoolTimeout() | DBAPIError() if isinstance(error, PoolTimeout) or _says(error, _QUEUE):
            return ServiceUnavailable("All connections to the database are busy: try again shortly.")
        case TimeoutError():
            return _too_long()
        case DBAPIError():
            return _by_state(error)
        case StatementError():  # as SQLAlchemy raises it for a value that a column's type cannot process
            return _by_value(error.orig)
        case _:
            return _by_value(error)


def is_out_of_reach(error: BaseException | None) -> bool:
    """Say whether the database could not be asked, and not only that it refused or took too long."""
    if isinstance(error, TimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = _state(error)
    if state is None:  # as libpq leaves it for a connection that was lost or never made
        return error.connection_invalidated or isinstance(error, OperationalError)
    return error.connection_invalidated or state.startswith(("08", "57P"))


def is_lost(error: BaseException | None) -> bool:
    """Say whether a statement that was sent got no answer: it may have been done, and kept.

    SQLSTATE 57P01 is no answer: a server that waits for its replicas, as Neon's does, may have committed before.
    """
    return is_out_of_reach(error) and not _says(error, *_NOT_PASSED_ON)


def may_pass(error: BaseException | None) -> bool:
    """Say whether the same could go well a moment later."""
    if isinstance(error, TimeoutError) or _says(error, _QUEUE):
        return False  # it has waited already
    lacking = isinstance(error, DBAPIError) and (_state(error) or "").startswith(("40", "53"))
    return is_out_of_reach(error) or (lacking and not takes_no_changes(error))


def takes_no_changes(error: BaseException | None) -> bool:
    """Say whether the database is reached, and makes no change until someone sees to it."""
    return isinstance(error, DBAPIError) and (_state(error) or "").startswith(_TAKES_NO_CHANGES)


def advice(error: BaseException | None) -> str:
    """Return what an operator is to know of a failure of a database that is reached, or ""."""
    if isinstance(error, PoolTimeout):
        return (
            "All connections to the database are busy: where that goes on, raise TODOSERVICE_POOL_SIZE, or see what "
            "holds them"
        )
    if isinstance(error, DBAPIError) and _state(error) == _CANCELED:
        return (
            "The database ended a statement that took too long: see which are slow, or raise "
            "TODOSERVICE_STATEMENT_TIMEOUT"
        )
    return ""


def is_permanent(error: BaseException | None) -> bool:
    """Say whether the database refuses the service, until someone changes a setting or a password.

    Told by its words alone: libpq has no SQLSTATE for a connection that was not made, and Neon's proxy sends XX000.
    """
    return isinstance(error, OperationalError) and _says(error, *_PERMANENT)


def is_rate_limit(error: BaseException | None) -> bool:
    """Say whether the database's proxy asks for fewer attempts."""
    return _says(error, "oo many", "exceeded the rate limit")


def _says(error: BaseException | None, *words: str) -> bool:
    """Say whether it is told in one of these words that there is no connection.

    PostgreSQL's other errors may quote what a user wrote, and the names of an author's tables.
    """
    if not isinstance(error, DBAPIError):
        return False
    about_connection = (_state(error) or "08").startswith(("08", "28", "3D", "53", "57P", "XX"))
    return about_connection and any(each in str(error.orig) for each in words)


def _by_state(error: DBAPIError) -> Problem | None:
    if is_out_of_reach(error):
        return ServiceUnavailable()
    state = _state(error)
    if state is None:
        return None
    if state == "23503" and _constraint(error).endswith("_user_id"):
        return UnknownUser()
    return next((problem() for states, problem in _PROBLEMS.items() if state.startswith(states)), None)


def _by_value(error: BaseException | None) -> Problem | None:
    match error:
        case UnusableValue():
            fault = str(error)
        case UnicodeEncodeError():
            fault = "A text holds a lone surrogate, which cannot be stored"
        case ValueError() if "NUL" in str(error):
            fault = "A text holds the character U+0000, which cannot be stored"
        case ValueError() if "for integer string conversion" in str(error):  # as the encoder of JSON raises it
            fault = f"An integer has more than {sys.get_int_max_str_digits()} digits, which cannot be stored"
        case _:
            return None
    return InvalidRequest(("request", fault))


def _state(error: DBAPIError) -> str | None:
    state: str | None = getattr(error.orig, "pgcode", None)
    return state


def _constraint(error: DBAPIError) -> str:
    diagnostics = getattr(error.orig, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""
