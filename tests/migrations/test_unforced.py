"""Data migrations on owned tables, by an owner whom row-level security binds as it binds everyone."""

from collections.abc import Callable, Iterator
from textwrap import dedent

import pytest
from databases import as_user, ask, database, role
from sqlalchemy import make_url

from todoservice import Plugin, uuid7
from todoservice.migrations import runner
from todoservice.migrations.runner import MigrationError

MakePlugin = Callable[..., Plugin]

NOTES = """
from sqlmodel import Field
from todoservice import Owned

class Note(Owned, table=True):
    __tablename__ = "notes"
    text: str = Field(max_length=100)
"""
TABLE = """
from alembic import op
from todoservice import unforced

revision = "0001_notes"
down_revision = None

def upgrade():
    op.execute("CREATE TABLE todoservice.notes (user_id uuid REFERENCES todoservice.users ON DELETE CASCADE,"
               " id uuid, text text, PRIMARY KEY (user_id, id))")
"""
FORCED = "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = 'todoservice.notes'::regclass"


def data(body: str) -> str:
    """Return the revision file that does this after `TABLE`."""
    head = TABLE.replace("None", '"0001_notes"', 1).replace('"0001_notes"', '"0002_data"', 1)
    return head[: head.index("def upgrade")] + "def upgrade():\n    " + dedent(body).strip().replace("\n", "\n    ")


@pytest.fixture
def urls(server_url: str) -> Iterator[tuple[str, str]]:
    """Return the URL of an owner without BYPASSRLS, and a superuser's for the same database."""
    with role(server_url, "CREATEROLE") as owner, database(server_url, owner=owner) as url:
        yield as_user(url, owner), url


def migrated(make_plugin: MakePlugin, urls: tuple[str, str], body: str) -> list[tuple[str]]:
    """Make a table with one user's row, run the data migration, and return the texts that it left."""
    first = {"0001_notes": TABLE}
    runner.upgrade(make_url(urls[0]), [make_plugin("notes", NOTES, first)])
    user = uuid7()
    ask(urls[1], f"INSERT INTO todoservice.users VALUES ('{user}')")
    ask(urls[1], f"INSERT INTO todoservice.notes VALUES ('{user}', '{uuid7()}', 'old')")
    runner.upgrade(make_url(urls[0]), [make_plugin("notes", migrations=first | {"0002_data": data(body)})])
    return [(text,) for (text,) in ask(urls[1], "SELECT text FROM todoservice.notes")]


def test_a_data_migration_fails_aloud(urls: tuple[str, str], make_plugin: MakePlugin) -> None:
    """Rather than to change no row, in silence."""
    with pytest.raises(
        MigrationError, match=r"affected by row-level security policy .* `with todoservice.unforced\(op, TABLE\):`;"
    ):
        migrated(make_plugin, urls, "op.execute(\"UPDATE todoservice.notes SET text = 'new'\")")
    assert ask(urls[1], "SELECT text FROM todoservice.notes") == [("old",)]


def test_unforced_lets_it_change_every_row(urls: tuple[str, str], make_plugin: MakePlugin) -> None:
    """Of that table, and row-level security is forced again afterwards."""
    body = """
        with unforced(op, "notes"):
            op.execute("UPDATE todoservice.notes SET text = 'new'")
    """
    assert migrated(make_plugin, urls, body) == [("new",)]
    assert ask(urls[1], FORCED) == [(True, True)]


def test_a_failure_within_unforced_leaves_it_forced(urls: tuple[str, str], make_plugin: MakePlugin) -> None:
    """The whole migration is taken back."""
    with pytest.raises(MigrationError, match="ZeroDivisionError"):
        migrated(make_plugin, urls, 'with unforced(op, "notes"):\n    1 / 0')
    assert ask(urls[1], FORCED) == [(True, True)]
