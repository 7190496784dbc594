"""What a failure of the database means to the client."""

from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from todoservice.problems import Conflict, InvalidRequest, Problem, ServiceUnavailable, UnknownUser

UNKNOWN_USER: Final = "TS403"
"""The SQLSTATE that the function `todoservice.require_user` raises."""

FAILURES: Final = (PoolTimeout, DBAPIError, ValueError)
"""What a statement may fail with. ValueError is psycopg2's for a text that PostgreSQL cannot hold."""

_UNAVAILABLE: Final = ("08", "40", "53", "55P03", "57")
"""SQLSTATEs of a database that may answer if asked again: connection, serialization, resources, locks, shutdown."""
_QUERY_CANCELED: Final = "57014"
_CONFLICTS: Final = frozenset({"23001", "23503", "23505", "23P01"})
_BAD_VALUES: Final = ("22", "23502", "23514")


def problem_for(error: Exception) -> Problem | None:
    """Return the Problem that stands for `error`, one of `FAILURES`, or None for a fault of the service's own."""
    match error:
        case PoolTimeout():
            return ServiceUnavailable("All connections to the database are busy: try again shortly.")
        case DBAPIError():
            return _by_state(error)
        case UnicodeEncodeError():
            return InvalidRequest(("request", "A text holds a lone surrogate, which cannot be stored"))
        case ValueError() if "NUL" in str(error):
            return InvalidRequest(("request", "A text holds the character U+0000, which cannot be stored"))
        case _:
            return None


def _by_state(error: DBAPIError) -> Problem | None:
    """Decide by SQLSTATE (PostgreSQL, Appendix A). libpq has none for a connection that was lost or never made."""
    state = getattr(error.orig, "pgcode", None)
    if state is None:
        lost = error.connection_invalidated or isinstance(error, OperationalError)
        return ServiceUnavailable() if lost else None
    if state == _QUERY_CANCELED:
        return ServiceUnavailable("The database took too long to answer: try again, or ask for less.")
    if state.startswith(_UNAVAILABLE):
        return ServiceUnavailable()
    if state == UNKNOWN_USER or (state == "23503" and _constraint(error).endswith("_user_id")):
        return UnknownUser()
    if state in _CONFLICTS:
        return Conflict()
    if state.startswith(_BAD_VALUES):
        return InvalidRequest(("request", "A value is out of the range that can be stored"))
    return None


def _constraint(error: DBAPIError) -> str:
    diagnostics = getattr(error.orig, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""
