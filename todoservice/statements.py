"""Statements: declared once by a feature, confined to one user, compiled once."""

import inspect
from collections.abc import Iterable, Iterator, KeysView, Mapping, Set, ValuesView
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Executable
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import with_loader_criteria
from sqlalchemy.sql.compiler import Compiled, SQLCompiler
from sqlmodel import col

from todoservice.audit import Audit, Limits, Verdict
from todoservice.confinement import (
    ALONE,
    OWNER,
    OwnerValue,
    UnscopedStatement,
    check_owner,
    faults,
    given_owner,
    has_several_rows,
    mark,
    own_owners,
    set_columns,
    several_rows,
    walk,
    with_owner,
)
from todoservice.database.lists import MOST_ITEMS, SCALARS, ColumnOf, count_items, takes_list
from todoservice.database.values import DEEPEST, UnsupportedValue
from todoservice.defaults import Default, default_of
from todoservice.idempotence import answer_of_done, is_idempotent
from todoservice.messages import Message
from todoservice.models import Owned, Shared
from todoservice.parameters import GIVEN, KEY, ME, bind, me
from todoservice.plugins.faults import did_you_mean
from todoservice.problems import InvalidRequest
from todoservice.rows import POSITION, over_rows
from todoservice.shapes import APART, Columns, Shape, columns_of
from todoservice.texts import bound, check_user, compiled, compiled_text, unwrapped


class UnknownQuery(LookupError):
    """A query that no plugin of this app declares. The message says what there is, or what to install."""


class Queries:
    """The base of a feature's declared statements: every SQLAlchemy statement among its attributes is one.

    Write them as if there were one user: `select(Todo)` is that user's todos. The host adds the user to each, and
    fills `user_id` and `id` of every row inserted.
    """


@dataclass
class Prepared:
    """A statement confined to one user, in each shape of answer. Its parameters are bound by `parameters`."""

    name: str
    statement: Any
    criteria: tuple[Any, ...]
    dialect: Dialect
    audit: Audit
    defaults: Mapping[str, Default] = field(default_factory=dict)
    inserts: bool = False
    """Whether it adds rows, which need their user to be there."""
    writes: bool = False
    """Whether it changes rows."""
    repeatable: bool = False
    """Whether it may be sent again where nobody knows if it was done."""
    done: "Prepared | None" = None
    """What answers in its place where an earlier sending has done it."""
    owners: tuple[OwnerValue, ...] = ()
    """What its author gives as owners: each must be the scope's user."""
    returns: bool = True
    """Whether it returns rows."""
    listed: "tuple[Prepared, list[dict[str, Any]]] | None" = None
    """The insert of one row and the rows, for an insert whose author gives several."""
    _answers: dict[str, Message] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def rows(self) -> Executable:
        """The statement for SQLAlchemy, whose rows it returns."""
        # The options of the outermost statement reach every select below it, common table expressions included.
        return self.statement.options(*self.criteria, ALONE)  # type: ignore[no-any-return]

    @cached_property
    def compiled(self) -> SQLCompiler:
        """The statement's SQL and its bind parameters."""
        return compiled(self.rows, self.dialect)

    @cached_property
    def sent(self) -> Message:
        """The statement for the driver."""
        return Message(self.compiled)

    def json(self, shape: Shape) -> Message:
        """Return what answers as JSON. Raises TypeError for a statement that has no such answer."""
        if shape not in self._answers:
            if shape is Shape.PAGE:
                self._check_page()
            self._answers[shape] = Message(self.compiled, around=partial(self.audit.answer, self._columns, shape))
        return self._answers[shape]

    def page_of(self, parent: "Prepared") -> Message:
        """Return what answers with a page as JSON, and with no row where `parent`, a declared statement, selects none.

        Raises TypeError as `json` does, and for a parent that changes rows, or takes a parameter which this statement
        does not.
        """
        if parent.name not in self._answers:
            self._check_page()
            if fault := self._parent_fault(parent):
                raise TypeError(fault)
            around = partial(self.audit.answer, self._columns, Shape.PAGE)
            self._answers[parent.name] = Message(self.compiled, parent.compiled, around)
        return self._answers[parent.name]

    def _check_page(self) -> None:
        if "id" not in self._columns:
            msg = f"{self.name} has no column id, which the cursor of a page is made of: select it too"
            raise TypeError(msg)

    def check_returns(self) -> None:
        """Raise TypeError for a statement that returns no rows."""
        if not self.returns:
            msg = f"{self.name} returns no rows: write .returning(...), or count them with scope.execute(...)"
            raise TypeError(msg)

    def _parent_fault(self, parent: "Prepared") -> str:
        if parent.writes:
            return f"{parent.name} changes rows, and is only asked whether there are any: give a select"
        if unknown := sorted(parent.takes - self.takes):
            return f"{parent.name} takes {', '.join(unknown)}, and {self.name} does not: give the two the same name"
        apart = {f"{APART}{name}" for name in parent.compiled.bind_names.values()}
        if clash := sorted(apart.intersection(self.compiled.bind_names.values())):
            return f"{self.name} takes {clash[0]}, as a parent's parameter is named beside it: give it another name"
        return ""

    def messages(self) -> Iterator[tuple[str, Message]]:
        """Yield what is sent for each shape of answer that the statement can have, with the scope's method for it."""
        yield "all", self.sent
        if self.takes_rows:
            yield from ((f"{shape} of a list", message) for shape, message in self.many.messages())
        if not self._is_json:
            return
        yield from ((shape.value, self.json(shape)) for shape in (Shape.ONE, Shape.ALL))
        if self.takes >= {"before", "limit"} and "id" in self._columns:
            yield Shape.PAGE.value, self.json(Shape.PAGE)

    @cached_property
    def many(self) -> "Prepared":
        """The insert of a list of rows. Its parameters: `row_parameters`. Raises TypeError for no insert."""
        try:
            statement = over_rows(self.statement, self.dialect)
        except TypeError as error:
            msg = f"{self.name} {error}"
            raise TypeError(msg) from None
        many = Prepared(self.name, statement, self.criteria, self.dialect, self.audit, inserts=True, writes=True)
        many.returns = self.returns
        return many

    @property
    def takes_rows(self) -> bool:
        """Whether it can insert a list of rows."""
        try:
            return bool(self.many)
        except TypeError:
            return False

    @property
    def _is_json(self) -> bool:
        try:
            return bool(self._columns.each)
        except TypeError:
            return False

    @cached_property
    def _columns(self) -> Columns:
        """What the statement returns. Raises TypeError where that cannot be an answer as JSON."""
        try:
            return columns_of(self.statement, self.compiled)
        except ValueError as error:
            msg = f"{self.name} {error}"
            raise TypeError(msg) from None

    @cached_property
    def _binds(self) -> Mapping[str, sa.BindParameter[Any]]:
        """The parameters that a call may give, by name: a list of rows has one in place of its columns."""
        found = {key: bind for key, bind in self.compiled.binds.items() if key.startswith(KEY) and key != KEY + ME}
        return {key.removeprefix(KEY): bind for key, bind in found.items() if not isinstance(bind.type, ColumnOf)} | {
            bind.type.rows.removeprefix(KEY): bind for bind in found.values() if isinstance(bind.type, ColumnOf)
        }

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self._binds)

    @cached_property
    def _columns_of_rows(self) -> Mapping[str, str]:
        """The list of rows that each column of one is sent from."""
        columns = {key: bind.type.rows for key, bind in self.compiled.binds.items() if isinstance(bind.type, ColumnOf)}
        return {key: rows for key, rows in columns.items() if rows.startswith(KEY)}

    @cached_property
    def _lists(self) -> frozenset[str]:
        return frozenset(name for name, bind in self._binds.items() if takes_list(bind, self.dialect))

    @cached_property
    def _own_lists(self) -> tuple[sa.BindParameter[Any], ...]:
        """The parameters whose lists the statement itself has."""
        own = (bind for bind in self.compiled.bind_names if isinstance(bind.value, list | tuple) or bind.callable)
        return tuple(bind for bind in own if takes_list(bind, self.dialect))

    @cached_property
    def _flags(self) -> tuple[str, ...]:
        return tuple(name for name in self._names if name.endswith(GIVEN))

    @cached_property
    def takes(self) -> frozenset[str]:
        """The names of the parameters that a call may give."""
        if self.listed is not None:
            return frozenset()
        return self._names - set(self._flags) | {owner.name for owner in self.owners if owner.name}

    @cached_property
    def _needs(self) -> frozenset[str]:
        required = frozenset(name for name in self.takes if name not in self._binds or self._binds[name].required)
        return required - self.defaults.keys() - {flag.removesuffix(GIVEN) for flag in self._flags}

    def parameters(self, user_id: UUID, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of all parameters: the user, what the call gave, and the defaults of what it left out.

        Raises TypeError where the call gave a parameter that the statement does not have, or left out one it needs,
        InvalidRequest for a list of more than `MOST_ITEMS` items, and UnscopedStatement for an owner that is not the
        user.
        """
        if not self._needs <= given.keys() <= self.takes:
            raise TypeError(self._mismatch(given.keys()))
        if self.listed is not None:
            single, listed = self.listed
            return single.row_parameters(user_id, _listed("values", listed))
        values = dict(given)
        for name, value in given.items():
            if type(value) not in SCALARS and name in self._lists:
                values[name] = _listed(name, value)
        if self._has_own_values:
            values = self._without_owners(user_id, values)
        for name, default in self.defaults.items():
            if name not in given:
                values[name] = default(values)
        for flag in self._flags:
            name = flag.removesuffix(GIVEN)
            values[flag] = name in given
            values.setdefault(name)
        bound = {KEY + ME: user_id, **{KEY + name: value for name, value in values.items()}}
        for column, rows in self._columns_of_rows.items():
            bound[column] = bound[rows]
        return bound

    @cached_property
    def _has_own_values(self) -> bool:
        return bool(self.owners or self._own_lists)

    def _without_owners(self, user_id: UUID, given: dict[str, Any]) -> dict[str, Any]:
        """Check the owners and lists that the statement itself has. Return what is sent of what was given."""
        for owner in self.owners:
            owner.check(user_id, given)
        for own in self._own_lists:
            _listed(own.key.removeprefix(KEY), own.effective_value)
        names = {owner.name for owner in self.owners} - self._names
        return {name: value for name, value in given.items() if name not in names}

    def row_parameters(self, user_id: UUID, rows: Iterable[Mapping[str, Any]], first: int = 0) -> dict[str, Any]:
        """Return the values of all parameters of `many`: each is the list of what the rows have.

        Every row is filled as a single one is. Raises TypeError as `parameters` does, with the number of the row, from
        `first` on.
        """
        filled = [self._row_parameters(user_id, row, number) for number, row in enumerate(rows, first)]
        names = self.many.compiled.binds.keys() & {KEY + name for name in self._names}
        lists = {name: [row.get(name, self.compiled.binds[name].value) for row in filled] for name in names}
        return {KEY + ME: user_id, KEY + POSITION: list(range(len(filled))), **lists}

    def _row_parameters(self, user_id: UUID, row: Mapping[str, Any], number: int) -> dict[str, Any]:
        if not isinstance(row, Mapping):
            msg = f"row {number} is a {type(row).__name__}: give a mapping of parameters, such as model_dump() makes"
            raise TypeError(msg)
        try:
            if OWNER in row and OWNER not in self.takes:
                check_owner(row[OWNER], user_id)
                row = {name: value for name, value in row.items() if name != OWNER}
            return self.parameters(user_id, row)
        except UnscopedStatement as error:
            msg = f"row {number}: {error}"
            raise UnscopedStatement(msg) from None
        except TypeError as error:
            msg = f"row {number}: {error}"
            raise TypeError(msg) from None

    def _mismatch(self, given: Iterable[str]) -> str:
        unknown, missing = sorted(set(given) - self.takes), sorted(self._needs - set(given))
        faults = [f"has no parameter {', '.join(unknown)}"] * bool(unknown)
        faults += [f"needs {', '.join(missing)}"] * bool(missing)
        return f"{self.name} {' and '.join(faults)}: its parameters are {', '.join(sorted(self.takes)) or 'none'}"


def _is_mine(model: type[Owned]) -> sa.ColumnElement[bool]:
    """Return the criterion that SQLAlchemy adds to `model`, or to the alias of it that a statement names."""
    return col(model.user_id) == me()


class Statements:
    """The statements of one app: declared ones, prepared at start, and those built in a handler, prepared each time."""

    def __init__(
        self,
        models: Iterable[type[Owned | Shared]],
        dialect: Dialect,
        functions: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> None:
        """Take every model of the app, since a statement may reach any of them through a relationship.

        `functions` are those that statements may call besides the audit's own list.
        """
        models = tuple(models)
        self._dialect = dialect
        self.audit = Audit(
            (model.__table__ for model in models if issubclass(model, Owned)),  # type: ignore[attr-defined]
            (model.__table__ for model in models if issubclass(model, Shared)),  # type: ignore[attr-defined]
            functions,
            limits,
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
        """Prepare and prove every statement of `queries`, so that no request meets one that is not.

        Returns a line for each that cannot be confined, or is named twice.
        """
        faults = []
        for name, statement in inspect.getmembers_static(queries):
            if isinstance(statement, sa.Executable) and not name.startswith("_"):
                try:
                    self._declare(statement, f"{feature}.{name}")
                except UnscopedStatement as error:
                    faults.append(str(error))
                except Exception as error:  # noqa: BLE001 - what an author wrote may fail in anybody's code
                    faults.append(f"{feature}.{name}: cannot be prepared: {type(error).__name__}: {error}")
        return faults

    def _declare(self, statement: Any, name: str) -> None:
        if self._named.setdefault(name, statement) is not statement:
            msg = f"{name}: two statements have this name: rename one of them"
            raise UnscopedStatement(msg)
        prepared = self._prepare(statement, name)
        self.audit.declare(compiled_text(prepared.compiled))
        if prepared.done is not None:
            self.audit.declare(compiled_text(prepared.done.compiled))
        if prepared.takes_rows:
            with _told(f"{name} of a list"):
                self._verdict(prepared.many.compiled)
            self.audit.declare(compiled_text(prepared.many.compiled))
        self._declared[statement] = prepared

    @property
    def declared(self) -> tuple[Prepared, ...]:
        """The declared statements."""
        return tuple(self._declared.values())

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
        with _told(name):
            return self._proven(unwrapped(statement), name)

    def _verdict(self, compiled: Compiled) -> Verdict:
        verdict = self.audit.verdict(compiled_text(compiled))
        if verdict.fault is not None:
            raise UnscopedStatement(verdict.fault)
        return verdict

    def _several(self, statement: Any, name: str) -> Prepared:
        """Prepare an insert of several rows as a list of rows: one text for any number of them."""
        single, rows = several_rows(statement)
        prepared = self._proven(single, name)
        try:
            many = prepared.many
        except TypeError as error:
            raise UnscopedStatement(str(error).removeprefix(f"{name} ")) from None
        self._verdict(many.compiled)
        many.listed = prepared, rows
        return many

    def _proven(self, statement: Any, name: str) -> Prepared:
        if has_several_rows(statement):
            return self._several(statement, name)
        elements = walk(statement)
        for fault in faults(statement, elements, self._owned, self._tables):
            raise UnscopedStatement(fault)  # the first is enough
        mark(elements)
        defaults: dict[str, Default] = {}
        statement, owners = own_owners(statement, elements)
        if isinstance(statement, sa.Insert) and statement.select is None:
            owners += given_owner(statement)
            statement, defaults = _stamped(statement)
        elif isinstance(statement, sa.Insert):
            statement = with_owner(statement)
        prepared = Prepared(name, bound(statement), self._criteria, self._dialect, self.audit, defaults)
        prepared.owners = owners
        verdict = self._verdict(prepared.compiled)
        check_user(statement, verdict.users)
        prepared.inserts, prepared.writes, prepared.returns = verdict.inserts, verdict.changes > 0, verdict.returns
        prepared.done = self._done(prepared, verdict.changes)
        harmless = verdict.harmless or prepared.done is not None
        prepared.repeatable = harmless or is_idempotent(statement)
        return prepared

    def _done(self, prepared: Prepared, changes: int) -> Prepared | None:
        answer = answer_of_done(prepared.statement) if changes == 1 else None
        if answer is None:
            return None
        done = Prepared(prepared.name, answer, self._criteria, self._dialect, self.audit)
        self._verdict(done.compiled)
        return done


def _listed(name: str, value: Any) -> Any:
    """Return the value of a parameter that may be a list.

    Raises InvalidRequest for one that is too long or too deep, and TypeError for one that contains itself.
    """
    # Not isinstance, which reads a `__class__` that an object of a plugin's may have.
    kind = type(value)
    if issubclass(kind, Set | Iterator | ValuesView | KeysView):
        value = list(value)
    try:
        count = count_items(value) if issubclass(type(value), list | tuple) else 0
    except RecursionError:
        msg = f"the parameter {name} contains itself: bind a list without a cycle"
        raise UnsupportedValue(msg) from None
    except OverflowError:
        fault = f"The parameter {name} is nested deeper than {DEEPEST} levels: give fewer"
        raise InvalidRequest(("request", fault)) from None
    if count > MOST_ITEMS:
        raise InvalidRequest(("request", f"A list has more than {MOST_ITEMS} items: send fewer at a time"))
    return value


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Name the statement in what refuses it, and in what SQLAlchemy says of it."""
    try:
        yield
    except UnscopedStatement as error:
        msg = f"{name}: {error}"
        raise UnscopedStatement(msg) from None
    except SQLAlchemyError as error:
        msg = f"{name}: cannot be compiled: {error}"
        raise UnscopedStatement(msg) from error


def _stamped(insert: sa.Insert) -> tuple[sa.Insert, dict[str, Default]]:
    """Return the insert with every column as a parameter, and how to fill those that a call leaves out."""
    given = set_columns(insert)
    values: dict[str, sa.BindParameter[Any]] = {"user_id": me()}
    defaults: dict[str, Default] = {}
    for column in insert.table.columns:
        if column.name in given or column.name == "user_id" or column.server_default is not None:
            continue
        values[column.name] = bind(column.name, column.type)
        default = _default(column)
        if default is not None:
            defaults[column.name] = default
    return insert.values(values), defaults


def _default(column: sa.ColumnElement[Any]) -> Default | None:
    """Return what makes the column's value from the other values of the row, or None where a call must give it."""
    if getattr(column, "default", None) is None:
        return (lambda _: None) if getattr(column, "nullable", False) else None
    return default_of(column.default)
