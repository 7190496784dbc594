"""What a failure of the database means to the client."""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from todoservice.problems import Conflict, InvalidRequest, Problem, ServiceUnavailable, UnknownUser

UNKNOWN_USER: Final = "TS403"
"""The SQLSTATE that the function `todoservice.require_user` raises."""

FAILURES: Final = (PoolTimeout, DBAPIError, TimeoutError, ValueError)
"""What a statement may fail with. TimeoutError is ours for a server that hangs, ValueError psycopg2's for a text that
PostgreSQL cannot hold."""


def _too_long() -> Problem:
    return ServiceUnavailable("The database took too long to answer: try again, or ask for less.")


def _bad_value() -> Problem:
    return InvalidRequest(("request", "A value is out of the range that can be stored"))


_PROBLEMS: Final[Mapping[str, Callable[[], Problem]]] = {
    UNKNOWN_USER: UnknownUser,
    "57014": _too_long,  # query_canceled, by the time limit of the statement
    "08": ServiceUnavailable,
    "40": ServiceUnavailable,  # serialization and deadlocks
    "53": ServiceUnavailable,  # resources
    "55P03": ServiceUnavailable,  # lock_not_available
    "57": ServiceUnavailable,  # shutdown and recovery
    "22": _bad_value,
    "23502": _bad_value,  # not_null_violation
    "23514": _bad_value,  # check_violation
    "23": Conflict,
}
"""By SQLSTATE or its class (PostgreSQL, Appendix A), the first that fits."""


def problem_for(error: Exception) -> Problem | None:
    """Return the Problem that stands for `error`, one of `FAILURES`, or None for a fault of the service's own."""
    match error:
        case PoolTimeout():
            return ServiceUnavailable("All connections to the database are busy: try again shortly.")
        case TimeoutError():
            return _too_long()
        case DBAPIError():
            return _by_state(error)
        case UnicodeEncodeError():
            return InvalidRequest(("request", "A text holds a lone surrogate, which cannot be stored"))
        case ValueError() if "NUL" in str(error):
            return InvalidRequest(("request", "A text holds the character U+0000, which cannot be stored"))
        case _:
            return None


def is_out_of_reach(error: Exception) -> bool:
    """Say whether the database could not be asked, and not only that it refused or took too long."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, TimeoutError)
    state = getattr(error.orig, "pgcode", None)
    if state is None:
        return error.connection_invalidated or isinstance(error, OperationalError)
    return str(state).startswith(("08", "57P"))


def _by_state(error: DBAPIError) -> Problem | None:
    state = getattr(error.orig, "pgcode", None)
    if state is None:  # as libpq leaves it for a connection that was lost or never made
        lost = error.connection_invalidated or isinstance(error, OperationalError)
        return ServiceUnavailable() if lost else None
    if state == "23503" and _constraint(error).endswith("_user_id"):
        return UnknownUser()
    return next((problem() for states, problem in _PROBLEMS.items() if state.startswith(states)), None)


def _constraint(error: DBAPIError) -> str:
    diagnostics = getattr(error.orig, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""
