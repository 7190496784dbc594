"""Every statement of the five operations concerns one partition, where rows are partitioned by their user."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from api import TODOS, create
from databases import ask, login_url, migrate
from documents import blocks
from edge import Edge
from sqlalchemy import make_url
from starlette.testclient import TestClient

from todoservice import Settings, create_app, uuid7
from todoservice.middleware import CannotStart

DISTRIBUTE = """
CREATE TABLE public.distributed (name regclass, by text);
CREATE FUNCTION public.create_distributed_table(name regclass, by text, colocate_with regclass DEFAULT NULL)
RETURNS void LANGUAGE sql AS 'INSERT INTO public.distributed VALUES (name, by)'
"""
KEYS = """
SELECT c.conname, ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.conrelid AND attnum = ANY(c.conkey)),
    d.by FROM public.distributed AS d JOIN pg_constraint AS c ON c.conrelid = d.name AND c.contype IN ('p', 'u', 'f')
"""


@pytest.fixture
def partitioned(fresh_url: str) -> str:
    """Return the owner's URL of a database that was partitioned as the page on scaling shows."""
    before = uuid7()
    row = f"INSERT INTO todoservice.users (id) VALUES ('{before}'); INSERT INTO todoservice.todos VALUES ('{before}',"
    ask(fresh_url, f"{row} '{before}', 'From before', NULL, false, now())")
    partition, _ = blocks("scaling.md", "sql")
    ask(fresh_url, partition)
    assert ask(fresh_url, "SELECT title FROM todoservice.todos") == [("From before",)]
    migrate(fresh_url)
    return fresh_url


@pytest.fixture
def edge(partitioned: str) -> Iterator[Edge]:
    """Return an edge before it, for the service's role."""
    with Edge(make_url(login_url(partitioned))) as edge:
        yield edge


@pytest.fixture
def client(edge: Edge, user: UUID) -> Iterator[TestClient]:
    """Return a user's client."""
    url = edge.url().set(drivername="postgresql").render_as_string(hide_password=False)
    settings = Settings.load({"neon_database_url": url})
    with TestClient(create_app(settings), headers={"X-User-ID": str(user)}) as client:
        yield client


def test_partitions_are_refused_where_isolation_is_required(edge: Edge) -> None:
    url = edge.url().set(drivername="postgresql").render_as_string(hide_password=False)
    app = create_app(Settings.load({"neon_database_url": url, "require_isolation": True}))
    with (
        pytest.raises(CannotStart, match=r"todoservice\.todos_0 is a partition or child of todoservice\.todos"),
        TestClient(app),
    ):
        pass


def explained(url: str, user: UUID, statement: str) -> set[str]:
    """Return the tables that the plan of a statement names, for a user."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('todoservice.user_id', %s, true)", [str(user)])
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}")
        (found,) = cursor.fetchone() or ((),)
    return set(re.findall(r'"Relation Name": "(\w+)"', json.dumps(found)))


def named(url: str, user: UUID, message: str) -> set[str]:
    """Return the partitions that a message's statements name; the parent is what an INSERT names, and routes by."""
    statements = [part for part in message.split(";") if part.strip() and "set_config" not in part]
    found = set().union(*(explained(url, user, statement) for statement in statements))
    return found - {"todos", "users"}


def operations(client: TestClient) -> dict[str, Callable[[], Any]]:
    """Return the five, the second page of the list too."""
    todo = create(client, "First")
    create(client, "Second")
    url = f"{TODOS}/{todo['id']}"
    cursor = client.get(TODOS, params={"limit": 1}).json()["next_cursor"]
    return {
        "retrieve": lambda: client.get(url),
        "list": lambda: client.get(TODOS),
        "page": lambda: client.get(TODOS, params={"cursor": cursor}),
        "update": lambda: client.patch(url, json={"title": "Other"}),
        "delete": lambda: client.delete(url),
        "create": lambda: client.post(TODOS, json={"title": "Third"}),
    }


def test_one_partition_each(client: TestClient, edge: Edge, partitioned: str, user: UUID) -> None:
    """The user's, which is the same for all; a row that is created goes there, and so does the user."""
    mine = f"SELECT tableoid::regclass::text FROM todoservice.todos WHERE user_id = '{user}'"
    for name, operation in operations(client).items():
        before = len(edge.statements)
        operation().raise_for_status()
        (message,) = edge.statements[before:]
        ((partition,),) = set(ask(partitioned, mine))
        expected = set() if name == "create" else {partition.removeprefix("todoservice.")}
        assert named(make_url(login_url(partitioned)).render_as_string(hide_password=False), user, message) == expected
    assert set(ask(partitioned, mine)) == {(partition,)}
    users = f"SELECT tableoid::regclass::text FROM todoservice.users WHERE id = '{user}'"
    assert ask(partitioned, users) == [(partition.replace(".todos", ".users"),)]


def test_a_statement_without_the_user_concerns_all(partitioned: str, user: UUID) -> None:
    """Asked by one whom row-level security does not bind."""
    everyone = explained(partitioned, user, "SELECT FROM todoservice.todos WHERE title = 'x'")
    assert everyone == {"todos_0", "todos_1", "todos_2", "todos_3"}


def test_every_key_holds_the_distribution_column(fresh_url: str) -> None:
    """Of the tables that the page distributes by Citus: these statements are run with a function that only notes."""
    _, distribute = blocks("scaling.md", "sql")
    ask(fresh_url, DISTRIBUTE, distribute)
    keys = ask(fresh_url, KEYS)
    assert {name for name, _, _ in keys} == {"pk_users", "pk_todos", "fk_todos_user_id"}
    assert [name for name, columns, by in keys if by not in columns] == []
