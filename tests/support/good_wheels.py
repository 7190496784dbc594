"""The good strangers: what is in the wheels of `tests/wheels/good`."""

from dataclasses import dataclass
from pathlib import Path

import wheel
from environment import STRANGER

SOURCES = Path(__file__).parents[1] / "wheels" / "good"
HOST = "todoservice>=0.1,<0.2"
VARIABLES = {"TODOSERVICE_GREETINGS__SALUTE": "Salve"}
"""What the plugins' settings lack a default for, but for a file's path."""

TODO_KEY = (
    'sa.ForeignKeyConstraint(["user_id", "todo_id"], ["todoservice.todos.user_id", "todoservice.todos.id"], '
    'ondelete="CASCADE")'
)
JAR_KEY = TODO_KEY.replace("todo_id", "jar_id").replace(".todos", ".pantry")
CURRENCIES = '''"""Currencies."""

import sqlalchemy as sa
from alembic import op

revision = "0001_currencies"
down_revision = None


def upgrade() -> None:
    """Make the tables, and the rows that are everybody's."""
    shared = op.create_table(
        "currencies", sa.Column("code", sa.String(3), primary_key=True), sa.Column("name", sa.String(), nullable=False),
        schema="todoservice",
    )
    op.bulk_insert(shared, [{"code": "EUR", "name": "euro"}, {"code": "JPY", "name": "yen"}])
    op.create_table(
        "currencies_purses",
        sa.Column("user_id", sa.Uuid(), primary_key=True),
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("code", sa.String(3), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["todoservice.users.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["code"], ["todoservice.currencies.code"]),
        schema="todoservice",
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("currencies_purses", schema="todoservice")
    op.drop_table("currencies", schema="todoservice")
'''


@dataclass(frozen=True)
class Good:
    """A stranger's distribution: `NAME-of-strangers`, with the plugin NAME."""

    name: str
    migration: str = ""
    requires: tuple[str, ...] = (HOST,)

    def write(self, folder: Path) -> Path:
        """Write its wheel."""
        package = f"{self.name}_of_strangers"
        files = {f"{package}/__init__.py": (SOURCES / f"{self.name}.py").read_text()}
        if self.migration:
            files[f"{package}/migrations/0001_{self.name}.py"] = self.migration
        points = {self.name: package}
        return wheel.write(folder, self.name + STRANGER, files, points=points, requires=self.requires)


def _owned(name: str, *columns: str, requires: tuple[str, ...] = ()) -> Good:
    return Good(name, wheel.migration(name, *columns), (HOST, *requires))


def _column(name: str, kind: str) -> str:
    return f'sa.Column("{name}", sa.{kind}, nullable=False)'


GOOD = {
    stranger.name: stranger
    for stranger in (
        Good("advice"),
        Good("agenda"),
        Good("currencies", CURRENCIES),
        _owned(
            "flags", _column("name", "String()"), _column("up", "Boolean()"), 'sa.UniqueConstraint("user_id", "name")'
        ),
        Good("greetings"),
        Good("heartbeat"),
        _owned(
            "ledger", _column("account", "String()"), _column("amount", "Integer()"),
            "sa.CheckConstraint(\"account <> 'closed'\", name=op.f(\"ck_ledger_open\"))",
        ),
        _owned("pantry", _column("label", "String(100)")),
        _owned("reminders", _column("todo_id", "Uuid()"), _column("at", "DateTime(timezone=True)"), TODO_KEY),
        _owned(
            "shelves", _column("jar_id", "Uuid()"), _column("shelf", "Integer()"), JAR_KEY,
            requires=(f"pantry{STRANGER}>=0.3",),
        ),
        Good("stamps"),
    )
}  # fmt: skip
