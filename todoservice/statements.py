"""Statements: declared once by a feature, confined to one user, compiled once."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Executable
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import with_loader_criteria
from sqlalchemy.sql.compiler import SQLCompiler
from sqlmodel import col

from todoservice.audit import Audit
from todoservice.confinement import UnscopedStatement, faults, set_columns
from todoservice.models import Owned, Shared
from todoservice.plugins.faults import did_you_mean

ME: Final = "me"
"""The parameter that carries the scope's user in every statement. Reserved."""
PAGE_SIZE: Final = "page_size"
_GIVEN: Final = "__given"
_KEY: Final = "p_"
"""Begins the name of every bind parameter: SQLAlchemy takes one named as a column for a value of that column."""
_RFC3339: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'

Default = Callable[[Mapping[str, Any]], Any]
"""Makes a column's value from the other values of its row."""


class UnknownQuery(LookupError):
    """A query that no plugin of this app declares. The message says what there is, or what to install."""


class Queries:
    """The base of a feature's declared statements: every SQLAlchemy statement among its attributes is one.

    Write them as if there were one user: `select(Todo)` is that user's todos. The host adds the user to each, and
    fills `user_id` and `id` of every row inserted.
    """


_ABSENT: Final = object()


def param(name: str, type_: Any = None, *, else_: Any = _ABSENT) -> sa.ColumnElement[Any]:
    """Return a bind parameter: a value that each call of the statement gives by `name`.

    With `else_`, the call may leave it out, and `else_` stands in its place: `param("title", else_=col(Todo.title))`
    in an UPDATE keeps the title where no new one is given, and tells that from a new value of NULL.
    Raises ValueError for a reserved name.
    """
    if name in {ME, PAGE_SIZE} or name.endswith(_GIVEN):
        msg = f"the parameter name {name!r} is reserved: the host binds it itself"
        raise ValueError(msg)
    if else_ is _ABSENT:
        return _bind(name, type_)
    kept = sa.type_coerce(else_, type_) if type_ is not None else else_
    given = _bind(name + _GIVEN, sa.Boolean())
    return sa.case((given, sa.bindparam(_KEY + name, None, type_=kept.type)), else_=kept)


def _bind(name: str, type_: Any) -> sa.BindParameter[Any]:
    return sa.bindparam(_KEY + name, required=True, type_=type_)


def me() -> sa.BindParameter[UUID]:
    """Return the bind parameter that is the scope's user."""
    return _bind(ME, sa.Uuid())


@dataclass
class Prepared:
    """A statement confined to one user, in each shape of answer. Its parameters are bound by `parameters`."""

    name: str
    statement: Any
    criteria: tuple[Any, ...]
    dialect: Dialect
    defaults: Mapping[str, Default]
    inserts: bool
    _pages: dict[str, Executable] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def rows(self) -> Executable:
        """The statement as it is."""
        return self._confined(self.statement)

    @cached_property
    def one_json(self) -> Executable:
        """The rows, each as the text of a JSON object."""
        return self._confined(sa.select(_json(self._objects)))

    @cached_property
    def all_json(self) -> Executable:
        """One row: the text of a JSON array of all."""
        array = sa.literal_column("'['").concat(_joined(self._objects)).concat(sa.literal_column("']'"))
        return self._confined(sa.select(array))

    @cached_property
    def page_json(self) -> Executable:
        """One row: the JSON objects of the page, joined by commas; how many rows there were; the id of its last."""
        return self._confined(self._page)

    def page_json_of(self, parent: "Prepared") -> Executable:
        """As `page_json`, and no row where `parent`, a declared statement, selects none.

        Raises TypeError for one that takes a parameter which this statement does not.
        """
        if unknown := sorted(parent.takes - self.takes):
            msg = f"{parent.name} takes {', '.join(unknown)}, and {self.name} does not: give the two the same name"
            raise TypeError(msg)
        if parent.name not in self._pages:
            self._pages[parent.name] = self._confined(self._page.having(parent.statement.exists()))
        return self._pages[parent.name]

    def shapes(self) -> Iterator[tuple[str, Any]]:
        """Yield each shape of answer that the statement can have: its name among the scope's methods, and itself."""
        yield "all", self.rows
        if not self.statement.is_select and not self.statement._returning:  # noqa: SLF001 - has no public name
            return
        yield "one_json", self.one_json
        yield "all_json", self.all_json
        if {"before", "limit"} <= self.takes:
            yield "page_json", self.page_json

    @cached_property
    def _page(self) -> sa.Select[str, int, UUID]:
        numbered = self._subquery(sa.func.row_number().over().label("n")).cte("numbered_rows")
        size = _bind(PAGE_SIZE, sa.Integer())
        objects = sa.select(*(c for c in numbered.c if c.name != "n")).where(numbered.c.n <= size).subquery("item")
        last = sa.select(numbered.c.id).where(numbered.c.n == size).scalar_subquery()
        total = sa.select(sa.func.count()).select_from(numbered).scalar_subquery()
        return sa.select(_joined(objects), total, last)

    def _confined(self, statement: Any) -> Executable:
        # The options of the outermost statement reach every select below it, common table expressions included.
        return statement.options(*self.criteria)  # type: ignore[no-any-return]

    @cached_property
    def compiled(self) -> SQLCompiler:
        """The statement's SQL and its bind parameters."""
        return cast("SQLCompiler", self.rows.compile(dialect=self.dialect))  # type: ignore[attr-defined]

    @cached_property
    def _objects(self) -> sa.Subquery:
        return self._subquery().subquery("item")

    def _subquery(self, *more: sa.ColumnElement[Any]) -> sa.Select[*tuple[Any, ...]]:
        """Select what the statement returns, in the order and the formats of our JSON: id first, owner last."""
        result = self.statement.cte("result_rows")
        columns = sorted(result.c, key=lambda c: {"id": -1, "user_id": 1}.get(c.name, 0))
        return sa.select(*(_formatted(c).label(c.name) for c in columns), *more).select_from(result)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(key.removeprefix(_KEY) for key in self.compiled.binds if key.startswith(_KEY)) - {ME}

    @cached_property
    def _flags(self) -> tuple[str, ...]:
        return tuple(name for name in self._names if name.endswith(_GIVEN))

    @cached_property
    def takes(self) -> frozenset[str]:
        """The names of the parameters that a call may give."""
        return self._names - set(self._flags)

    @cached_property
    def _needs(self) -> frozenset[str]:
        return (
            frozenset(name for name in self.takes if self.compiled.binds[_KEY + name].required) - self.defaults.keys()
        )

    def parameters(self, user_id: UUID, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of all parameters: the user, what the call gave, and the defaults of what it left out.

        Raises TypeError where the call gave a parameter that the statement does not have, or left out one it needs.
        """
        if not self._needs <= given.keys() <= self.takes:
            raise TypeError(self._mismatch(given.keys()))
        values = dict(given)
        for name, default in self.defaults.items():
            if name not in given:
                values[name] = default(values)
        for flag in self._flags:
            values[flag] = flag.removesuffix(_GIVEN) in given
        return {_KEY + ME: user_id, **{_KEY + name: value for name, value in values.items()}}

    def _mismatch(self, given: Iterable[str]) -> str:
        unknown, missing = sorted(set(given) - self.takes), sorted(self._needs - set(given))
        faults = [f"has no parameter {', '.join(unknown)}"] * bool(unknown)
        faults += [f"needs {', '.join(missing)}"] * bool(missing)
        return f"{self.name} {' and '.join(faults)}: its parameters are {', '.join(sorted(self.takes)) or 'none'}"


def page_size(size: int) -> dict[str, int]:
    """Return the parameter that `Prepared.page_json` has besides those of its statement."""
    return {_KEY + PAGE_SIZE: size}


def _formatted(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    kind = column.type.impl if isinstance(column.type, sa.types.TypeDecorator) else column.type
    if isinstance(kind, sa.DateTime) and not isinstance(column.type, sa.Interval):
        return sa.func.to_char(sa.func.timezone(sa.literal_column("'UTC'"), column), sa.literal_column(f"'{_RFC3339}'"))
    return column


def _json(objects: sa.Subquery) -> sa.ColumnElement[str]:
    return sa.cast(sa.func.row_to_json(objects.table_valued()), sa.Text)


def _joined(objects: sa.Subquery) -> sa.ColumnElement[str]:
    return sa.func.coalesce(sa.func.string_agg(_json(objects), sa.literal_column("','")), sa.literal_column("''"))


def _is_mine(model: type[Owned]) -> sa.ColumnElement[bool]:
    """Return the criterion that SQLAlchemy adds to `model`, or to the alias of it that a statement names."""
    return col(model.user_id) == me()


class Statements:
    """The statements of one app: declared ones, prepared at start, and those built in a handler, prepared each time."""

    def __init__(self, models: Iterable[type[Owned | Shared]], dialect: Dialect, functions: Iterable[str] = ()) -> None:
        """Take every model of the app, since a statement may reach any of them through a relationship.

        `functions` are those that statements may call besides the audit's own list.
        """
        models = tuple(models)
        self._dialect = dialect
        self.audit = Audit(
            (model.__table__ for model in models if issubclass(model, Owned)),  # type: ignore[attr-defined]
            (model.__table__ for model in models if issubclass(model, Shared)),  # type: ignore[attr-defined]
            functions,
        )
        self._owned = frozenset(model for model in models if issubclass(model, Owned))
        self._tables = frozenset(model.__table__ for model in models)  # type: ignore[union-attr]
        self._criteria = tuple(
            with_loader_criteria(model, _is_mine, include_aliases=True, track_closure_variables=False)
            for model in self._owned
        )
        self._declared: dict[Any, Prepared] = {}
        self._named: dict[str, Any] = {}

    def declare(self, feature: str, queries: type[Queries]) -> list[str]:
        """Prepare every statement of `queries`. Returns a line for each that cannot be confined, or is named twice."""
        faults = []
        for name, statement in inspect.getmembers_static(queries):
            if isinstance(statement, sa.Executable) and not name.startswith("_"):
                try:
                    self._declare(statement, f"{feature}.{name}")
                except UnscopedStatement as error:
                    faults.append(str(error))
        return faults

    def _declare(self, statement: Any, name: str) -> None:
        if self._named.setdefault(name, statement) is not statement:
            msg = f"{name}: two statements have this name: rename one of them"
            raise UnscopedStatement(msg)
        self._declared[statement] = self._prepare(statement, name)

    @property
    def declared(self) -> tuple[Prepared, ...]:
        """The declared statements."""
        return tuple(self._declared.values())

    def unproven(self) -> Iterator[str]:
        """Yield what the audit refuses of the declared statements, in each shape of answer that they can have.

        At start only the rows are proven, of which the other shapes are made: those cost more to compile.
        """
        for prepared in self.declared:
            for shape, statement in prepared.shapes():
                fault = self.audit.verdict(str(statement.compile(dialect=self._dialect))).fault
                if fault is not None:
                    yield f"{prepared.name} as {shape}: {fault}"

    def declared_name(self, statement: Any) -> str:
        """Return the name of a declared statement. Raises TypeError for one that was not declared."""
        if isinstance(statement, str):
            return self.prepared(statement).name
        if statement not in self._declared:
            msg = "a page needs a statement declared in Queries, whose name its cursors carry"
            raise TypeError(msg)
        return self._declared[statement].name

    def prepared(self, statement: Any) -> Prepared:
        """Return the statement confined to one user. Raises UnscopedStatement where that cannot be done.

        Text is the name of a declared one, `feature.query`: raises UnknownQuery where there is none.
        """
        if isinstance(statement, str):
            if statement not in self._named:
                raise UnknownQuery(self._unknown(statement))
            return self._declared[self._named[statement]]
        return self._declared.get(statement) or self._prepare(statement, "a statement built in a handler")

    def _unknown(self, name: str) -> str:
        feature = name.partition(".")[0]
        features = {known.partition(".")[0] for known in self._named}
        if feature in features:
            return f"{feature} has no query {name!r}: " + did_you_mean(
                name, [known for known in self._named if known.startswith(f"{feature}.")], "queries"
            )
        hint = "install the distribution that brings it, and name that in your own one's dependencies"
        return f"no plugin of this app is named {feature!r} and has queries, and {name!r} is asked for: {hint}"

    def _prepare(self, statement: Any, name: str) -> Prepared:
        try:
            for fault in faults(statement, self._owned, self._tables):
                raise UnscopedStatement(f"{name}: {fault}")  # noqa: EM102 - the first fault is enough
            defaults: dict[str, Default] = {}
            if isinstance(statement, sa.Insert) and statement.select is None:
                statement, defaults = _stamped(statement)
            inserts = isinstance(statement, sa.Insert)
            prepared = Prepared(name, statement, self._criteria, self._dialect, defaults, inserts)
            unproven = self.audit.verdict(str(prepared.compiled)).fault
            if unproven is not None:
                msg = f"{name}: {unproven}"
                raise UnscopedStatement(msg)
        except SQLAlchemyError as error:
            msg = f"{name}: cannot be compiled: {error}"
            raise UnscopedStatement(msg) from error
        return prepared


def _stamped(insert: sa.Insert) -> tuple[sa.Insert, dict[str, Default]]:
    """Return the insert with every column as a parameter, and how to fill those that a call leaves out."""
    given = set_columns(insert)
    values: dict[str, sa.BindParameter[Any]] = {"user_id": me()}
    defaults: dict[str, Default] = {}
    for column in insert.table.columns:
        if column.name in given or column.name == "user_id" or column.server_default is not None:
            continue
        values[column.name] = _bind(column.name, column.type)
        default = _default(column)
        if default is not None:
            defaults[column.name] = default
    return insert.values(values), defaults


def _default(column: sa.ColumnElement[Any]) -> Default | None:
    """Return what makes the column's value from the other values of the row, or None where a call must give it."""
    default = getattr(column, "default", None)
    if default is None:
        return (lambda _: None) if getattr(column, "nullable", False) else None
    if default.is_scalar:
        return lambda _: default.arg
    if default.is_callable:
        return lambda values: default.arg(_Row(values))
    return None


@dataclass(frozen=True)
class _Row:
    """A row in the making, for defaults that look at it (SQLAlchemy, "Context-Sensitive Default Functions")."""

    values: Mapping[str, Any]

    def get_current_parameters(self) -> Mapping[str, Any]:
        return self.values
