"""todoservice without scope, audit and policies: what those cost is the difference.

For the benchmark only. The same routes and the same statements, each with the user in its WHERE as if written by hand;
nothing is added to a statement, none is looked at before it is sent, and nothing travels before it but the
INSERT of a new user. Its role bypasses row-level security (`performance.databases`). It takes the pieces of a process,
so it has to have one of its own.
"""

from dataclasses import replace
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Connection, Delete, Select, Update
from sqlmodel import col
from todoservice_todos.models import Todo

import todoservice
from todoservice import app, readiness, scope
from todoservice.parameters import me
from todoservice.statements import Prepared


class Scope(scope.Scope):
    """A scope that guards nothing."""

    def _guard(self, text: str, parameters: Any) -> None:
        pass

    def _prefix(self, *, inserts: bool) -> str:
        return f"INSERT INTO todoservice.users(id) VALUES('{self._user_id}') ON CONFLICT DO NOTHING;" if inserts else ""


class Readiness(readiness.Readiness):
    """Looks at the database, and does not mind a role that bypasses row-level security."""

    def verify(self, connection: Connection) -> str:
        """Verify, and let nothing travel before a statement."""
        super().verify(connection)
        return ""


def create_app() -> FastAPI:
    """Make the app."""
    vars(scope)["Scope"], vars(app)["Readiness"] = Scope, Readiness
    made = todoservice.create_app()
    statements = made.state.data.statements
    statements._declared = {statement: _by_hand(prepared) for statement, prepared in statements._declared.items()}  # noqa: SLF001
    return made


def _by_hand(prepared: Prepared) -> Prepared:
    statement = prepared.statement
    if isinstance(statement, Select | Update | Delete):
        statement = statement.where(col(Todo.user_id) == me())
    done = None if prepared.done is None else _by_hand(prepared.done)
    return replace(prepared, statement=statement, criteria=(), done=done)
