"""What holds for every feature: an author's test class derives from this, and names the feature."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from types import ModuleType
from typing import Any, ClassVar, Final, NoReturn
from uuid import UUID

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from todoservice import create_app, hookimpl, migrations
from todoservice.database import catalogue
from todoservice.migrations import runner, transaction
from todoservice.models import SCHEMA, Owned, uuid7
from todoservice.plugins import Plugin
from todoservice.plugins.features import Feature
from todoservice.plugins.host import Host
from todoservice.problems import MEDIA_TYPE, Unauthenticated
from todoservice.settings import Settings
from todoservice.testing import databases, replay

_ID: Final = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_JSON: Final = {"Content-Type": "application/json"}
_OBJECTS: Final = """
SELECT concat(c.relkind, ' ', c.relname) FROM pg_catalog.pg_class AS c WHERE c.relnamespace = to_regnamespace(:schema)
UNION ALL
SELECT 'type ' || t.typname FROM pg_catalog.pg_type AS t
WHERE t.typnamespace = to_regnamespace(:schema) AND t.typtype IN ('e', 'd', 'r')
UNION ALL
SELECT 'function ' || p.proname FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = to_regnamespace(:schema)
"""


def _refuse() -> NoReturn:
    raise Unauthenticated


_NOBODY: Final = Plugin("nobody", ModuleType("nobody"))
"""An authentication plugin that knows nobody."""
_NOBODY.module.todoservice_user = hookimpl(lambda: _refuse)  # type: ignore[attr-defined]


class Conformance:
    """Derive from this, and set `plugin`: `class TestTags(Conformance): plugin = "tags"`.

    The feature must be installed, or be among those of the fixture `todoservice_plugins`.
    """

    plugin: ClassVar[str]
    """The feature's name: that of its entry point."""

    def rows(self, client: TestClient) -> None:
        """Make rows of the user who asks with this client: POST the document's examples. Override it for more."""
        for path, method, operation in self._operations(client.app):  # type: ignore[arg-type]
            if method == "post" and "{" not in path:
                schema = replay.body_schema(operation)
                body = None if schema is None else replay.example(schema, client.app.openapi())  # type: ignore[attr-defined]
                client.post(path, json=body)

    def test_it_starts(self, request: pytest.FixtureRequest) -> None:
        """With the other plugins: it is imported, its hooks match, and what it contributes fits."""
        app: FastAPI = request.getfixturevalue("todoservice_app")
        self._feature(request.getfixturevalue("todoservice_installed"))
        assert app.openapi()

    def test_its_routes_refuse_who_is_not_known(
        self, todoservice_settings: Settings, todoservice_installed: list[Plugin]
    ) -> None:
        """Each, before anything else, where a dependency says who is asking."""
        settings = todoservice_settings.model_copy(update={"identity": _NOBODY.name})
        with TestClient(create_app(settings, plugins=[*todoservice_installed, _NOBODY])) as client:
            for path, method, _ in self._operations(client.app):  # type: ignore[arg-type]
                answer = client.request(method, path.replace("{", "").replace("}", ""))
                assert answer.status_code == HTTPStatus.UNAUTHORIZED, (
                    f"{method.upper()} {path} answers {answer.status_code} to nobody: let no middleware answer for a "
                    "route, and add every route to the router that todoservice_router returns"
                )

    def test_anothers_rows_answer_as_missing_ones(
        self,
        todoservice_client: TestClient,
        todoservice_other_client: TestClient,
        todoservice_other_user: UUID,
        todoservice_database: str,
        todoservice_installed: list[Plugin],
    ) -> None:
        """To the byte, with every id of the other's in every place."""
        self.rows(todoservice_other_client)
        self.rows(todoservice_client)
        owned = [model for model in self._feature(todoservice_installed).models if issubclass(model, Owned)]
        with transaction.connected(sa.make_url(todoservice_database)) as connection:
            before = _rows(connection, owned, todoservice_other_user)
            ids = [row.id for rows in before.values() for row in rows]
            assert ids or not owned, f"{self.plugin} has no rows to ask for: override rows(client) to make some"

            def send(method: str, path: str, body: Any) -> Any:
                return todoservice_client.request(method, path, json=body)

            document = _only(todoservice_client.app.openapi(), self._prefix)  # type: ignore[attr-defined]
            assert not (told := list(replay.differences(document, send, ids))), "\n".join(told)
            connection.rollback()
            assert _rows(connection, owned, todoservice_other_user) == before, "another user's rows were changed"

    def test_nothing_is_kept_for_the_next_user(
        self,
        todoservice_client: TestClient,
        todoservice_other_client: TestClient,
        todoservice_user: UUID,
        todoservice_database: str,
        todoservice_installed: list[Plugin],
    ) -> None:
        """No answer has rows of who asked before."""
        self.rows(todoservice_other_client)
        owned = [model for model in self._feature(todoservice_installed).models if issubclass(model, Owned)]
        with transaction.connected(sa.make_url(todoservice_database)) as connection:
            for path, method, _ in self._operations(todoservice_client.app):  # type: ignore[arg-type]
                if method == "get" and "{" not in path:
                    todoservice_other_client.get(path)
                    ids = [UUID(id) for id in _ID.findall(todoservice_client.get(path).text)]
                    assert not any(_are_anothers(connection, model, ids, todoservice_user) for model in owned), (
                        f"GET {path} answers with rows of a user who asked before: let no rows, answers or scopes "
                        "outlive a request, or put scope.user_id into the key that they are kept under"
                    )

    def test_its_errors_are_problems(self, todoservice_client: TestClient) -> None:
        """A malformed id, a malformed body, and an id of nobody's: RFC 9457, as every error of the service."""
        for path, method, _ in self._operations(todoservice_client.app):  # type: ignore[arg-type]
            for value in ("malformed", str(uuid7())):
                filled = _filled(path, value)
                answer = todoservice_client.request(method, filled, content=b"{", headers=_JSON)
                kind, status = answer.headers.get("content-type", ""), answer.status_code
                asked = f"{method.upper()} {filled}"
                assert status < HTTPStatus.INTERNAL_SERVER_ERROR, f"{asked} answers {status}"
                if status >= HTTPStatus.BAD_REQUEST:
                    assert kind == MEDIA_TYPE, f"{asked} answers an error as {kind or 'nothing'}: raise a Problem"

    def test_no_request_names_an_owner(self, todoservice_app: FastAPI) -> None:
        """The owner of a row is who asks."""
        document = todoservice_app.openapi()
        for path, method, operation in self._operations(todoservice_app):
            named = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] != "header"}
            named |= set(replay.properties(replay.body_schema(operation), document))
            assert "user_id" not in named, f"{method.upper()} {path} takes a user_id: leave it out, the scope knows it"

    def test_its_migrations_make_its_models(self, todoservice_server: str, todoservice_installed: list[Plugin]) -> None:
        """Up, down and up again."""
        plugin = self._feature(todoservice_installed).plugin
        with databases.migrated(todoservice_server, todoservice_installed) as url:
            assert not (found := _differences(url, plugin, todoservice_installed)), _drift(plugin, found)
            if migrations.History.of(plugin).head is not None:
                runner.downgrade(sa.make_url(url), plugin)
                runner.upgrade(sa.make_url(url), todoservice_installed)
            assert not (found := _differences(url, plugin, todoservice_installed)), _drift(plugin, found)

    def test_nothing_weakens_isolation(self, todoservice_url: str, todoservice_installed: list[Plugin]) -> None:
        """`todoservice check` has nothing to mend of the feature's tables."""
        owners = migrations.owners(migrations.histories(todoservice_installed))
        with transaction.connected(sa.make_url(todoservice_url)) as connection:
            found = [
                fault for fault in catalogue.verify(connection, owners) if not fault.what.startswith("the role test_")
            ]
        assert not found, "\n".join(map(str, found))

    def test_nothing_is_left_of_it(self, todoservice_server: str, todoservice_installed: list[Plugin]) -> None:
        """Taken back to its beginning, it leaves no table, type or function."""
        plugin = self._feature(todoservice_installed).plugin
        others = [other for other in todoservice_installed if plugin.name not in (other.name, *other.requires)]
        if migrations.History.of(plugin).head is None:
            return
        with databases.migrated(todoservice_server, others) as url:
            before = _objects(url)
            runner.upgrade(sa.make_url(url), [*others, plugin])
            runner.downgrade(sa.make_url(url), plugin)
            left = _objects(url) - before - {f"r {plugin.name}_alembic_version", f"i {plugin.name}_alembic_version_pkc"}
        assert not left, (
            f"downgrade leaves {', '.join(sorted(left))}: drop it in downgrade() of the revision that made it"
        )

    @property
    def _prefix(self) -> str:
        return f"/api/v1/{self.plugin}"

    def _feature(self, installed: list[Plugin]) -> Feature:
        for feature in Host.load(Settings.load(), installed, serving=False).features:
            if feature.plugin.name == self.plugin:
                return feature
        names = ", ".join(plugin.name for plugin in installed)
        msg = f"no plugin {self.plugin!r} is installed: there are {names}"
        raise AssertionError(msg)

    def _operations(self, app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, item in _only(app.openapi(), self._prefix)["paths"].items():
            for method in sorted(item.keys() & replay.METHODS):
                yield path, method, item[method]


def _only(document: dict[str, Any], prefix: str) -> dict[str, Any]:
    paths = {path: item for path, item in document["paths"].items() if f"{path}/".startswith(f"{prefix}/")}
    return {**document, "paths": paths}


def _filled(path: str, value: str) -> str:
    parts = (value if part.startswith("{") else part for part in path.split("/"))
    return "/".join(parts)


def _are_anothers(connection: sa.Connection, model: Any, ids: list[UUID], user_id: UUID) -> bool:
    columns = model.__table__.c
    return (
        connection.execute(sa.select(columns.id).where(columns.id.in_(ids), columns.user_id != user_id)).first()
        is not None
    )


def _rows(connection: sa.Connection, models: list[Any], user_id: UUID) -> dict[str, Any]:
    return {
        model.__table__.name: connection.execute(
            sa.select(model.__table__).where(model.__table__.c.user_id == user_id).order_by(model.__table__.c.id)
        ).all()
        for model in models
    }


def _differences(url: str, plugin: Plugin, plugins: list[Plugin]) -> list[str]:
    with transaction.connected(sa.make_url(url)) as connection, connection.begin():
        return runner.differences(connection, plugin, plugins)


def _drift(plugin: Plugin, found: list[str]) -> str:
    listed = "; ".join(found)
    return (
        f"the migrations of {plugin} do not make its models: {listed}: run `todoservice db revision -p {plugin.name}`"
    )


def _objects(url: str) -> set[str]:
    with transaction.connected(sa.make_url(url)) as connection:
        return set(connection.execute(sa.text(_OBJECTS), {"schema": SCHEMA}).scalars())
