"""No value writes SQL: through a real scope, on PostgreSQL, with another user's row there."""

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import psycopg2.extensions
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg2 import extras
from psycopg2.extensions import AsIs, Binary
from sqlalchemy.dialects.postgresql import JSONB, NUMRANGE, Range
from sqlalchemy.exc import DBAPIError
from sqlmodel import col
from starlette.testclient import TestClient
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import InvalidRequest, Scope, Settings, UnscopedStatement, create_app, param, uuid7
from todoservice.database import dialect
from todoservice.database.dialect import Connection
from todoservice.testing.scopes import TestScope

psycopg2.extensions.register_adapter(UUID, extras.UUID_adapter)
ME: Final = uuid7()
THEM: Final = uuid7()


@pytest.fixture(scope="module")
def scope(service_url: str) -> Iterator[TestScope]:
    """Return the attacker's scope, under the restricted role. Another user has a row, too."""
    app = create_app(Settings.load({"neon_database_url": service_url, "require_isolation": True}))
    with TestClient(app) as client:
        TestScope(client, THEM).one(TodoQueries.create_todo, title="theirs")
        mine = TestScope(client, ME)
        mine.one(TodoQueries.create_todo, title="mine")
        yield mine


# A UUID whose number formats itself as SQL


ATTACK: Final = f"'; SELECT set_config('todoservice.user_id', '{THEM}', true); SELECT title FROM todoservice.todos --"
"""Ends a literal, becomes the other user, and selects their rows, wherever it is written as it is."""


class Number(str):
    """The number of a UUID, which formats itself (`'%032x' % number`)."""

    __slots__ = ()

    def __rmod__(self, _: object) -> "Digits":
        return Digits()


class Digits(str):
    """The digits of a UUID, all in the first of its parts."""

    __slots__ = ()

    def __getitem__(self, part: Any) -> str:
        return "" if part.start else f"{UUID(int=0)}{ATTACK}"

    def replace(self, *_: Any) -> str:
        return f"{UUID(int=0)}{ATTACK}"


def tampered(number: object) -> UUID:
    """Return a UUID with another number."""
    made = UUID(int=5)
    object.__setattr__(made, "int", number)
    return made


NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
TITLE: Final = sa.select(col(Todo.title))
NAMED: Final = sa.text("SELECT title FROM todoservice.todos WHERE user_id = :me AND id = :id")
NAMED_ALL: Final = sa.text("SELECT title FROM todoservice.todos WHERE user_id = :me")
Ask = Callable[[Scope, UUID], Awaitable[Any]]


async def _in_transaction(scope: Scope, id: UUID) -> Any:
    async with scope.transaction():
        return await scope.all(NAMED, id=id)


ASKS: dict[str, Ask] = {
    "text": lambda scope, id: scope.all(NAMED, id=id),
    "transaction": _in_transaction,
    "parameter": lambda scope, id: scope.all(TITLE.where(col(Todo.id) == param("id")), id=id),
    "literal": lambda scope, id: scope.all(TITLE.where(col(Todo.id) == id)),
}
OTHER_ASKS: dict[str, Ask] = {
    "declared": lambda scope, id: scope.all(TodoQueries.retrieve_todo, id=id),
    "json": lambda scope, id: scope.one_json(TodoQueries.retrieve_todo, id=id),
    "count": lambda scope, id: scope.execute(TodoQueries.delete_todo, id=id),
    "list": lambda scope, id: scope.all(TITLE.where(col(Todo.id).in_([id]))),
    "array": lambda scope, id: scope.all(
        TITLE.where(col(Todo.id) == sa.any_(param("ids", sa.ARRAY(sa.Uuid())))), ids=[id]
    ),
    "insert": lambda scope, id: scope.execute(TodoQueries.create_todo, id=id, title="x", created_at=NOW),
    "rows": lambda scope, id: scope.execute(TodoQueries.create_todo, [{"id": id, "title": "x", "created_at": NOW}]),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_changed_uuid_is_sql_without_the_gate(scope: TestScope, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the next test proves something."""
    monkeypatch.setattr(dialect, "plain", dict)
    rows = scope.run(lambda mine: ask(mine, tampered(Number())))
    assert [row.title for row in rows] == ["theirs"]


@pytest.mark.parametrize("ask", (ASKS | OTHER_ASKS).values(), ids=ASKS | OTHER_ASKS)
def test_changed_uuid_is_rejected(scope: TestScope, ask: Ask) -> None:
    with pytest.raises(TypeError, match="an instance of UUID, which was changed after it was made: bind a new uuid"):
        scope.run(lambda mine: ask(mine, tampered(Number())))


def test_literal_in_the_text_is_audited(scope: TestScope) -> None:
    """SQLAlchemy writes it into the statement, with methods of the value."""
    literal = sa.literal(Digits(), literal_execute=True)
    with pytest.raises(UnscopedStatement, match="holds a semicolon"):
        scope.all(TITLE.where(col(Todo.title) == literal))


class Wrapped(sa.types.TypeDecorator[Any]):
    """A type of a plugin's own, which binds what it is given inside of an object that writes SQL."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, _: object) -> Any:
        return AsIs(value)


def test_result_of_a_bind_processor_is_checked(scope: TestScope) -> None:
    with pytest.raises(TypeError, match="the parameter title is an instance of AsIs, which can write its own SQL"):
        scope.all(TITLE.where(col(Todo.title) == param("title", Wrapped())), title=ATTACK)


@pytest.mark.parametrize("provision", [True, False])
def test_user_of_a_scope_writes_no_sql(scope: TestScope, provision: bool) -> None:
    """The host writes it into the message before each statement."""
    data = replace(scope._scope._data, provision_users=provision)
    with pytest.raises(TypeError, match="the user's id is an instance of UUID, which was changed after it was made"):
        Scope(data, tampered(Number()))
    lying = type("Sub", (UUID,), {"__str__": lambda _: f"{THEM}{ATTACK}", "int": THEM.int})
    assert scope.run(lambda _: Scope(data, _copied(lying, UUID, ME)).all(NAMED_ALL)) == [("mine",)]


@pytest.mark.parametrize("number", [THEM.int, Number()], ids=["another user", "SQL"])
def test_user_of_a_scope_cannot_be_changed(scope: TestScope, number: object) -> None:
    given = UUID(int=ME.int)
    mine = Scope(scope._scope._data, given)
    for each in (given, mine.user_id):
        object.__setattr__(each, "int", number)
    assert scope.run(lambda _: mine.all(NAMED_ALL)) == [("mine",)]
    assert mine.user_id == ME


# Every type that psycopg2 adapts, in subclasses that override everything


ECHO: Final = sa.text(
    "SELECT title, CAST(:value AS text) IS NOT DISTINCT FROM CAST(:plain AS text) "
    "FROM todoservice.todos WHERE user_id = :me"
)
LISTED: Final = sa.text("SELECT title, true FROM todoservice.todos WHERE user_id = :me AND title IN :value")
"""`plain` is not in it: psycopg2 writes a tuple after IN only."""

TEXTS: Final = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
NUMBERS: Final = st.integers(-(10**30), 10**30)
DATES: Final = st.dates(date(1, 1, 1))
MOMENTS: Final = st.datetimes(timezones=st.sampled_from([None, UTC]))
BOUNDS: Final = st.sampled_from(["[)", "(]", "()", "[]"])


def _ranges(kind: Any, ends: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.lists(ends, min_size=2, max_size=2).map(sorted)
    return st.builds(lambda pair, bounds: kind(*pair, bounds), pairs, BOUNDS) | st.just(kind(empty=True))


EXACT: Final[dict[type[Any], st.SearchStrategy[Any]]] = {
    type(None): st.none(),
    bool: st.booleans(),
    str: TEXTS,
    int: NUMBERS,
    float: st.floats(),
    bytes: st.binary(),
    Decimal: st.decimals(allow_infinity=False, allow_nan=None, min_value=-(10**9), max_value=10**9),
    date: DATES,
    time: st.times(),
    datetime: MOMENTS,
    timedelta: st.timedeltas(timedelta(days=-(10**6)), timedelta(days=10**6)),
    UUID: st.uuids(),
    list: st.lists(TEXTS) | st.lists(NUMBERS),
    tuple: st.lists(TEXTS).map(lambda texts: ("mine", *texts)),
    extras.NumericRange: _ranges(extras.NumericRange, NUMBERS),
    extras.DateRange: _ranges(extras.DateRange, DATES),
    extras.DateTimeRange: _ranges(extras.DateTimeRange, st.datetimes()),
    extras.DateTimeTZRange: _ranges(extras.DateTimeTZRange, st.datetimes(timezones=st.just(UTC))),
    bytearray: st.binary().map(bytearray),
    memoryview: st.binary().map(memoryview),
    Binary: st.binary().map(Binary),
}
"""Values of each type. A release of psycopg2 that adapts another type needs it here."""
REJECTED: Final = {bytearray, memoryview}
FINAL: Final = {type(None), bool, memoryview}
"""Types that have no subclasses."""
ADAPTED: Final = [kind for kind, _ in psycopg2.extensions.adapters if kind.__module__ != "numpy"] + [Binary]


def _copied(cls: Any, kind: Any, value: Any) -> Any:
    """Return an instance of `cls`, a subclass of `kind`, that stores the value. Calls nothing that `cls` overrides."""
    if issubclass(kind, extras.Range):
        made = kind.__new__(cls)
        for name in ("_lower", "_upper", "_bounds"):
            getattr(extras.Range, name).__set__(made, getattr(value, name))
    elif kind is UUID:
        made = UUID.__new__(cls)
        vars(UUID)["int"].__set__(made, value.int)
    elif kind in {list, bytearray, Binary}:
        made = kind.__new__(cls)
        kind.__init__(made, value.adapted if kind is Binary else value)
    elif kind in {date, datetime, time, timedelta}:
        names = {
            date: "year month day",
            datetime: "year month day hour minute second microsecond tzinfo",
            time: "hour minute second microsecond tzinfo",
            timedelta: "days seconds microseconds",
        }[kind].split()
        made = kind.__new__(cls, *(getattr(value, name) for name in names))
    else:
        made = kind.__new__(cls, value)
    return made


def _overridable(kind: type[Any]) -> list[str]:
    kept = {"__new__", "__init__", "__init_subclass__", "__doc__", "__dict__", "__weakref__", "__del__", "__slots__"}
    added = {
        "__conform__", "__getattr__", "__getattribute__", "__class__", "__rmod__", "__mod__", "__format__", "__str__",
        "__iter__", "__len__", "__buffer__", "__index__", "__int__", "__float__", "__bytes__", "__radd__", "__call__",
        "getquoted", "prepare", "isoformat", "encode", "decode", "hex", "adapted", "tzinfo", "is_finite", "is_infinite",
        "_lower", "_upper", "_bounds",
    }  # fmt: skip
    return sorted((set(dir(kind)) | added) - kept)


def _lie(name: str) -> Any:
    """Return what stands in a class for the attribute: it writes SQL, or claims to be what it is not."""
    if name == "__class__":
        return property(lambda _: str)
    if name == "__conform__":
        return lambda *_: AsIs(ATTACK)
    if name in {"__getattribute__", "__getattr__"}:
        return lambda *_: lambda *_, **__: ATTACK
    if name in {"getquoted", "__buffer__", "encode", "__bytes__"}:
        return lambda *_, **__: ATTACK.encode()
    if not name.startswith("__") and name not in {"prepare", "isoformat", "decode", "hex", "is_finite", "is_infinite"}:
        return Lying()
    return lambda *_, **__: ATTACK


class Lying(str):
    """An attribute or a method that writes SQL."""

    __slots__ = ()

    def __new__(cls) -> "Lying":
        """Make one."""
        return super().__new__(cls, ATTACK)

    def __call__(self, *_: Any, **__: Any) -> str:
        return ATTACK


class Meta(type):
    """The metaclass of classes that claim to be str."""

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is str

    def __hash__(cls) -> int:
        return hash(str)


def _arrived(scope: TestScope, value: Any, plain: Any) -> list[tuple[str, bool]]:
    statement, given = (LISTED, {}) if isinstance(plain, tuple) else (ECHO, {"plain": plain})
    return [tuple(row) for row in scope.all(statement, value=value, **given)]


@pytest.mark.parametrize("kind", ADAPTED)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_subclass_arrives_as_the_plain_value(scope: TestScope, kind: type[Any], data: st.DataObject) -> None:
    plain = data.draw(EXACT[kind])
    value = plain
    if kind not in FINAL:
        names = data.draw(st.sets(st.sampled_from(_overridable(kind))) | st.just({*_overridable(kind)}))
        meta = data.draw(st.sampled_from([type, Meta]))
        value = _copied(meta("Sub", (kind,), {name: _lie(name) for name in names}), kind, plain)
    if kind in REJECTED:
        with pytest.raises(TypeError, match=r"the parameter value is an instance of .*: bind bytes\(value\)"):
            _arrived(scope, value, plain)
    else:
        expected = plain.adapted if kind is Binary else plain
        assert _arrived(scope, value, expected) == [("mine", True)]
        if expected != []:  # PostgreSQL knows no type of an array that holds an empty one
            assert _arrived(scope, [value], [expected]) == [("mine", True)]


JUNK: Final = [
    Number(), Digits(), Lying(), AsIs(ATTACK), ATTACK, ATTACK.encode(), -1, 2**128, math.nan, None, [AsIs(ATTACK)],
    Meta("M", (), {"getquoted": _lie("getquoted")})(), type("I", (int,), {"__rmod__": _lie("__rmod__")})(1),
]  # fmt: skip
CHANGED: Final[dict[Any, list[str]]] = {
    UUID: ["int", "is_safe"],
    extras.NumericRange: ["_lower", "_upper", "_bounds"],
    extras.DateRange: ["_lower", "_upper", "_bounds"],
    extras.DateTimeTZRange: ["_lower", "_upper", "_bounds"],
    extras.Json: ["adapted", "dumps", "_dumps", "_conn", "getquoted", "__conform__", "prepare", "__str__", "__class__"],
}


@pytest.mark.parametrize("kind", CHANGED)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_changed_instance_writes_no_sql(scope: TestScope, kind: Any, data: st.DataObject) -> None:
    value = extras.Json({"a": 1}) if kind is extras.Json else data.draw(EXACT[kind])
    for name in data.draw(st.sets(st.sampled_from(CHANGED[kind]), min_size=1)):
        junk = data.draw(st.sampled_from(JUNK))
        junk = data.draw(st.sampled_from([junk, lambda *_, junk=junk: junk]))
        with suppress(TypeError):  # the class of an object takes no other
            object.__setattr__(value, name, junk)
    for bound in (value, [value]):
        try:
            rows = _arrived(scope, bound, None)
        except (TypeError, InvalidRequest, DBAPIError):
            continue
        assert [title for title, _ in rows] == ["mine"]


# Values that clients can send, and that cannot be bound


def _nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


LONG: Final = 10**5000
STORED: Final = "A value is out of the range that can be stored"
LONG_JSON: Final = "An integer has more than 4300 digits, which cannot be stored"
FAULTS: dict[str, tuple[Any, Any, str]] = {
    "integer": (NAMED, LONG, "The parameter id has an integer of more than 4300 digits: give a smaller one"),
    "item": (
        TITLE.where(sa.literal(1) == sa.any_(param("id", sa.ARRAY(sa.Numeric())))),
        [LONG],
        "The parameter id has an integer of more than 4300 digits: give a smaller one",
    ),
    "range": (
        TITLE.where(param("id", NUMRANGE) == param("id", NUMRANGE)),
        Range(0.0, math.nan),
        "The parameter id has a range that ends in NaN or infinity: give None for an open end",
    ),
    "decimal": (
        NAMED,
        Decimal("Infinity"),
        "The parameter id has an infinite Decimal: give a finite one, or None for an open end of a range",
    ),
    "deep list": (NAMED, _nested(33), "The parameter id is nested deeper than 32 levels: give fewer"),
    "empty tuple": (
        sa.text("SELECT title FROM todoservice.todos WHERE user_id = :me AND title IN :id"),
        (),
        "The parameter id has an empty tuple, and IN () is not SQL: give an item",
    ),
    "array of 7 dimensions": (sa.text("SELECT CAST(:id AS integer[])"), [[[[[[[1]]]]]]], STORED),
    "long decimal": (sa.text("SELECT CAST(:id AS numeric)"), Decimal("1e200000"), STORED),
    "integer in a Json": (sa.text("SELECT CAST(:id AS jsonb)"), extras.Json({"a": LONG}), LONG_JSON),
    "integer in JSON": (TITLE.where(sa.cast(param("id", JSONB), sa.Text) == "a"), {"a": LONG}, LONG_JSON),
}


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize(("statement", "value", "words"), FAULTS.values(), ids=FAULTS)
def test_value_that_cannot_be_bound_is_the_clients_fault(
    scope: TestScope, statement: Any, value: Any, words: str, in_transaction: bool
) -> None:
    async def send(mine: Scope) -> None:
        async with mine.transaction() if in_transaction else nullcontext():
            await mine.all(statement, id=value)

    with pytest.raises(InvalidRequest) as rejected:
        scope.run(send)
    assert rejected.value.members["field_errors"] == [{"field": "request", "message": words}]
    assert scope.all(NAMED_ALL) == [("mine",)]


def test_decimal_of_a_long_integer_is_bound(scope: TestScope) -> None:
    assert scope.one(sa.text("SELECT CAST(:n AS numeric)"), n=Decimal(LONG)) == (Decimal(LONG),)


def test_rejected_value_is_not_sent(scope: TestScope, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    monkeypatch.setattr(Connection, "answered", lambda _: sent.append(b""))
    with pytest.raises(TypeError, match="the parameter id is an instance of AsIs"):
        scope.all(NAMED, id=AsIs(ATTACK))
    with pytest.raises(InvalidRequest):
        scope.all(NAMED, id=LONG)
    assert sent == []


def test_list_that_contains_itself_is_the_plugins_fault(scope: TestScope) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(TypeError) as rejected:
        scope.all(NAMED, id=cycle)
    assert str(rejected.value) == (
        "a statement built in a handler: the parameter id contains itself: bind a list without a cycle"
    )
