"""The host's own statements: everything that reaches the service's database and is not a feature's. A list, for review.

Looking at the database before the first user is served, each as it stands, without parameters, through `HostDoor`:

- `migrations.VERSION_TABLES`: which version tables there are;
- `History.version_query` of the host and of each plugin, joined by UNION ALL: how far the database is;
- `security.STATE`: policies, grants and the role, out of the catalogue;
- `catalogue.statement`, with `TODOSERVICE_REQUIRE_ISOLATION` only: what else in the catalogue weakens isolation.

Before each statement of a user, in its message (`Scope._prefix`, `Readiness.verify`): `set_config` of the user, of the
time limit and, where isolation is degraded, of the role; and `INSERT INTO users` of the user or `require_user`.
Around them (`database.dialect.Connection`): BEGIN, COMMIT, ROLLBACK, and SELECT 1 after a minute idle.

Migrations and `todoservice db` and `check` use the owner's connection, of another engine.
"""

from collections.abc import Iterable
from typing import Any

from todoservice import migrations
from todoservice.confinement import UnscopedStatement
from todoservice.database import security


class HostDoor:
    """Lets the statements through that look at the database, and no other."""

    def __init__(self, histories: Iterable[migrations.History], *texts: str) -> None:
        """Take the histories whose version tables may be read, and further statements to let through."""
        self.texts = frozenset({migrations.VERSION_TABLES, security.STATE, *texts})
        self.versions = frozenset(history.version_query for history in histories)

    def __call__(self, text: Any, parameters: Any) -> None:
        """Raise UnscopedStatement for any other statement, and for one with parameters."""
        listed = type(text) is str and (text in self.texts or set(text.split(migrations.UNION)) <= self.versions)
        if not listed or parameters is not None:
            shown = " ".join(str(text).split())[:200]
            msg = f"the host's door lets only the statements of todoservice.door through: list it there: {shown}"
            raise UnscopedStatement(msg)
