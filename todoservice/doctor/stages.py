"""Where the way to a database ends: which stage it is that a failed connection did not get past, and what mends it.

libpq has no SQLSTATE for a connection that was not made, and Neon's proxy gives all its errors the same one, so that
a stage is told by its words: those of libpq, PostgreSQL, PgBouncer, and of Neon's proxy
(neon.com/docs/connect/connection-errors).
"""

from dataclasses import dataclass
from typing import Final

from todoservice.doctor.report import Code, Finding, Severity


@dataclass(frozen=True)
class Stage:
    """A stage, by the words of what fails there."""

    code: Code
    what: str
    mend: str
    words: tuple[str, ...]


STAGES: Final = (
    Stage(
        Code.NAME, "its host's name was not found",
        "copy the host from Neon's console again, and see that this machine has a name server",
        ("could not translate host name", "looking up its address"),
    ),
    Stage(
        Code.CHANNEL_BINDING, "the server offers no channel binding, or none with TLS as it is",
        "take channel_binding=require out, and verify the certificate instead: sslmode=verify-full",
        ("channel binding",),
    ),
    Stage(
        Code.TLS, "TLS was not agreed upon",
        "see that sslrootcert has the authority of the server's certificate, that the host is the one that the "
        "certificate is for, and that sslmode is not disable",
        ("certificate", "SSL error", "does not support SSL", "connection is insecure", "sslmode", "no encryption"),
    ),
    Stage(
        Code.ADDRESS, "connections from this machine's address are not let in",
        "add the address that this machine has outside to the project's IP allow list, in Neon's console",
        ("is not allowed to connect", "pg_hba.conf"),
    ),
    Stage(
        Code.OPTIONS, "the pooler refuses parameters at the start of a connection",
        "take options out of the URL, and set them for the role: ALTER ROLE ... SET ...",
        ("unsupported startup parameter",),
    ),
    Stage(
        Code.ENDPOINT_DISABLED, "the endpoint is disabled", "enable it in Neon's console, or by its API",
        ("endpoint is disabled", "endpoint has been disabled"),
    ),
    Stage(
        Code.ENDPOINT_UNKNOWN, "there is no such endpoint",
        "copy the URL from Neon's console again: the branch or its compute may be deleted",
        (
            "endpoint cannot be found", "could not be found, or you", "Endpoint ID is not specified",
            "Inconsistent project name",
        ),
    ),
    Stage(
        Code.QUOTA, "the project is over a limit of its plan", "see the project's usage in Neon's console",
        ("Check your quotas", "quota exceeded", "Upgrade your plan", "concurrently active endpoints"),
    ),
    Stage(
        Code.AUTHENTICATION, "the role or its password is refused",
        "copy the URL again; for the service's own role `todoservice db provision --rotate` makes a new password",
        (
            "authentication failed", "no password supplied", "is not permitted to log in", "no such user", 'role "',
            "is protected and cannot be used",
        ),
    ),
    Stage(
        Code.NO_DATABASE, "there is no such database, or none that the role may connect to",
        "write a database of this branch, such as neondb, after the host, and the role that was made for it",
        ("does not exist", "no such database", "permission denied for database"),
    ),
    Stage(
        Code.SATURATED, "all its connections are taken",
        "use the pooled endpoint, make TODOSERVICE_POOL_SIZE smaller, or run fewer processes: see docs/scaling.md",
        (
            "connection slots", "too many clients", "no more connections allowed", "oo many",
            "exceeded the rate limit", "query_wait_timeout",
        ),
    ),
    Stage(
        Code.COMPUTE, "the compute does not wake up, or is being restarted",
        "run this again in a minute; if it stays so, see Neon's status page",
        (
            "connect to compute node", "Control plane request failed", "server_login_retry",
            "server login has been failing", "is starting up", "is shutting down",
        ),
    ),
    Stage(
        Code.TCP, "nothing takes connections there",
        "see that the host and port are right, that the server runs, and that no firewall is in between",
        ("refused", "unreachable", "No route to host", "No such file or directory", "timeout expired"),
    ),
)  # fmt: skip
"""The first whose words are found is it."""

SILENT: Final = Stage(
    Code.SILENT, "the port takes connections, and no answer comes",
    "raise TODOSERVICE_CONNECT_TIMEOUT if a compute wakes up as slowly; else see that it is PostgreSQL's port",
    ("timeout expired",),
)  # fmt: skip
UNREACHABLE: Final = Stage(
    Code.UNREACHABLE, "no connection was made", "see what it says, and run this again", ()
)  # fmt: skip


def stage_of(message: str) -> Stage:
    """Return the stage that a failure with this message did not get past."""
    return next((stage for stage in STAGES if any(words in message for words in stage.words)), UNREACHABLE)


def failure(about: str, message: str, *, open_port: bool) -> Finding:
    """Return the finding for a connection that failed with this message. `open_port`: TCP is not what failed."""
    stage = stage_of(message)
    if stage.code is Code.TCP and open_port:
        stage = SILENT if "timeout expired" in message else UNREACHABLE
    return Finding(stage.code, Severity.ERROR, about, f"{stage.what}: {message}", stage.mend)
