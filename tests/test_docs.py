"""What `docs/` says is so."""

import re
import shlex
from contextlib import closing

import psycopg2
import pytest
from databases import login_url, migrate
from documents import blocks
from psycopg2.errors import InsufficientPrivilege

from todoservice.cli import main


@pytest.fixture
def empty_owner(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment to an owner's of an empty database, and return its URL."""
    monkeypatch.setenv("NEON_DATABASE_URL", empty_url)
    return empty_url


def test_a_database_is_set_up_and_checked_as_the_page_on_isolation_shows(
    empty_owner: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the owner's URL first, and then with the one that was printed."""
    set_up, check = blocks("isolation.md", "sh")
    for line in set_up.splitlines():
        assert main(shlex.split(line)[1:]) == 0, line
    printed = capsys.readouterr().out.splitlines()[-1]
    assert printed.startswith("postgresql://")
    assert printed != empty_owner
    monkeypatch.setenv("NEON_DATABASE_URL", printed)
    assert main(shlex.split(check)[1:]) == 0
    assert capsys.readouterr().out.startswith("nothing to mend; ")


def test_the_sql_of_the_page_on_isolation_shows_what_it_says(empty_url: str) -> None:
    """No rows without a user, one user's with one, and no way to switch it off."""
    migrate(empty_url)
    user = "9f0c3ab2-1f5e-4c7e-9d2f-6a1b7c1de001"
    with closing(psycopg2.connect(empty_url)) as connection, connection, connection.cursor() as cursor:
        for name in (user, user.replace("9f0c", "0000")):
            cursor.execute("INSERT INTO todoservice.users (id) VALUES (%s)", [name])
            cursor.execute(
                "INSERT INTO todoservice.todos (user_id, id, title, is_completed, created_at) "
                "VALUES (%s, gen_random_uuid(), 'x', false, now())",
                [name],
            )
    url = login_url(empty_url)
    [sql] = blocks("isolation.md", "sql")
    statements = [line.strip() for line in re.sub(r"^--.*$", "", sql, flags=re.MULTILINE).split(";") if line.strip()]
    answers = []
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in statements[:-1]:
            cursor.execute(statement)
            answers.append(cursor.fetchall() if cursor.description else None)
        with pytest.raises(InsufficientPrivilege):
            cursor.execute(statements[-1])
    assert answers == [[(0,)], None, [(user,)], [(user, 1)], None]
