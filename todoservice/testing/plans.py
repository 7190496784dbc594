"""What PostgreSQL does for a declared query among the rows of many users: EXPLAIN, as the role of the service."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from todoservice.messages import Message
from todoservice.migrations import transaction
from todoservice.models import SCHEMA, Owned, User, uuid7
from todoservice.plugins import Plugin
from todoservice.plugins.host import Host
from todoservice.settings import Settings
from todoservice.statements import Prepared
from todoservice.testing import databases

_EXPLAIN: Final = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"
_SET_USER: Final = sa.text(f"SELECT set_config('{SCHEMA}.user_id', :user_id, true)")
_DEEPER: Final = 8
"""The blocks more that a statement may read where its indexes have become deeper."""
_COUNTED: Final = ("seq_scan", "seq_tup_read", "idx_tup_fetch")
_READ: Final = sa.text("SELECT * FROM pg_catalog.pg_stat_xact_user_tables WHERE schemaname = :schema")
"""What a plan does not show: the reads of foreign keys are in it too."""


@dataclass(frozen=True)
class Plan:
    """How PostgreSQL answered a declared query in one of its shapes."""

    query: str
    """The query and the shape, as in `todos.list_todos as page_json`."""
    nodes: tuple[Mapping[str, Any], ...]
    """The plan's nodes, as EXPLAIN has them."""
    blocks: int
    """How many blocks it read."""
    rows: int
    """How many rows it read, with those that its foreign keys had read."""
    scanned: frozenset[str]
    """The tables of users' rows that it, or one of its foreign keys, read from end to end."""
    indexes: tuple[tuple[str, str], ...]
    """Each index of those tables that it used, with the condition on it."""

    def faults(self, fewer: "Plan | None" = None) -> list[str]:
        """Tell what makes its cost grow with the rows of other users. `fewer` is the plan among fewer of them."""
        faults = [f"{self.query} reads {table} from end to end" for table in sorted(self.scanned)]
        for index, condition in self.indexes:
            if "(user_id = " not in condition:
                faults.append(f"{self.query} reads rows of all users from {index}: {condition or 'no condition'}")
        if fewer is not None and (self.rows > fewer.rows or self.blocks > fewer.blocks * 1.5 + _DEEPER):
            read, before = f"{self.rows} rows and {self.blocks} blocks", f"{fewer.rows} and {fewer.blocks}"
            faults.append(f"{self.query} reads {read}, and {before} among fewer users")
        return faults


class Plans:
    """The plans of an app's declared queries, in a database that a test has to itself."""

    def __init__(self, owner: sa.Connection, service: sa.Connection, host: Host) -> None:
        """`owner` commits each statement; `service` is bound by row-level security."""
        self.owner = owner
        """A connection for rows of the test's own: row-level security does not bind it, and it commits by itself."""
        self.user_id = uuid7()
        """The user who asks."""
        self._service = service
        self._host = host
        self._tables = _owned_tables(host)
        self._add([self.user_id])

    @classmethod
    @contextmanager
    def of(cls, server_url: str, plugins: Sequence[Plugin], template: str = "template1") -> Iterator["Plans"]:
        """Make the database for the block, with the tables of these plugins, as `databases.migrated` does."""
        host = Host.load(Settings.load(), plugins, serving=False).accept()
        with (
            databases.migrated(server_url, host.plugins, template) as url,
            transaction.connected(sa.make_url(url)) as owner,
            transaction.connected(sa.make_url(databases.login_url(url))) as service,
        ):
            yield cls(owner.execution_options(isolation_level="AUTOCOMMIT"), service, host)

    @property
    def queries(self) -> set[str]:
        """The names of the declared queries, each as `feature.query`."""
        return {prepared.name for prepared in self._host.statements.declared}

    def faults(self, asked: Mapping[str, Mapping[str, Any]], users: int = 2000) -> list[str]:
        """Tell what makes the cost of declared queries grow with the rows of other users.

        They are `asked`, each with its parameters, among as many users with rows as `user_id` has them, and before
        that among a tenth of them. The name of a page that belongs to a row is, for instance,
        `tags.list_tagged_todos of tags.retrieve_tag`.
        """
        self.multiply(users // 10 - 1)
        fewer = [plan for query, params in asked.items() for plan in self.explain(query, **params)]
        self.multiply(users - users // 10)
        many = [plan for query, params in asked.items() for plan in self.explain(query, **params)]
        return [fault for plan, before in zip(many, fewer, strict=True) for fault in plan.faults(before)]

    def multiply(self, users: int) -> None:
        """Give as many new users copies of all rows of `user_id`, user by user, and tell the planner."""
        ids = [uuid7() for _ in range(users)]
        self._add(ids)
        for table in self._tables:
            self.owner.execute(_copies(table, self.user_id, ids))
        self.owner.exec_driver_sql("VACUUM (ANALYZE)")

    def explain(self, query: str, /, **params: Any) -> list[Plan]:
        """Run a declared query, in each shape of answer, undo it, and return the plans."""
        query, _, parent = query.partition(" of ")
        prepared = self._host.statements.prepared(query)
        if parent:
            page = prepared.page_of(self._host.statements.prepared(parent))
            return [self._plan(f"{query} as page_json of {parent}", page, prepared.parameters(self.user_id, params))]
        return [
            self._plan(f"{query} as {shape}", message, _values(prepared, shape, self.user_id, params))
            for which in (prepared, prepared.done)
            if which is not None
            for shape, message in which.messages()
        ]

    def _add(self, ids: list[UUID]) -> None:
        self.owner.execute(sa.insert(User), [{"id": id} for id in ids])

    def _plan(self, name: str, message: Message, values: Mapping[str, Any]) -> Plan:
        # The first one reads the catalogues too.
        return [self._explained(name, message, values) for _ in range(2)][1]

    def _explained(self, name: str, message: Message, values: Mapping[str, Any]) -> Plan:
        text, parameters = message.bound(values)
        with self._service.begin() as undone:
            self._service.execute(_SET_USER, {"user_id": str(self.user_id)})
            before = self._reads()
            plan = self._service.exec_driver_sql(f"{_EXPLAIN} {text}", parameters).scalar_one()[0]["Plan"]
            reads = self._reads() - before
            undone.rollback()
        nodes = tuple(_nodes(plan))
        owned = {table.name for table in self._tables}
        scanned = {table for (table, column), count in reads.items() if column == "seq_scan" and count}
        used = [(node["Relation Name"], node.get("Index Name"), node.get("Index Cond", "")) for node in nodes]
        return Plan(
            name,
            nodes,
            blocks=plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
            rows=sum(count for (_, column), count in reads.items() if column != "seq_scan"),
            scanned=frozenset(scanned & owned),
            indexes=tuple((index, condition) for table, index, condition in used if index and table in owned),
        )

    def _reads(self) -> Counter[tuple[str, str]]:
        """Return what the transaction has read of each table: what its session did before may be counted in."""
        tables = self._service.execute(_READ, {"schema": SCHEMA}).mappings()
        return Counter({(table["relname"], column): table[column] or 0 for table in tables for column in _COUNTED})


def _values(prepared: Prepared, shape: str, user_id: UUID, params: Mapping[str, Any]) -> dict[str, Any]:
    if shape.endswith(" of a list"):
        return prepared.row_parameters(user_id, [params])
    return prepared.parameters(user_id, params)


def _owned_tables(host: Host) -> list[sa.Table]:
    """Return the tables of users' rows, each after those that it refers to."""
    models = [model for feature in host.features for model in feature.models if issubclass(model, Owned)]
    tables = {model.__table__ for model in models}  # type: ignore[attr-defined]
    return [table for table in User.metadata.sorted_tables if table in tables]


def _copies(table: sa.Table, user_id: UUID, ids: list[UUID]) -> sa.Insert:
    """Return the insert of the user's rows for each of these other users."""
    columns = [c for c in table.columns if c.computed is None and c.identity is None and c.name != "user_id"]
    others = sa.func.unnest(sa.cast(ids, sa.ARRAY(sa.Uuid()))).table_valued("id", name="others").render_derived()
    rows = (
        sa.select(others.c.id, *columns)
        .select_from(table.join(others, sa.true()))
        .where(table.c.user_id == user_id)
        .order_by(others.c.id, table.c.id)
    )
    return sa.insert(table).from_select([table.c.user_id, *columns], rows)


def _nodes(plan: Mapping[str, Any], table: str | None = None) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes, each with its table: a bitmap's index has that of the scan above it."""
    node = {"Relation Name": table, **plan}
    yield node
    for below in plan.get("Plans", ()):
        yield from _nodes(below, node["Relation Name"])
