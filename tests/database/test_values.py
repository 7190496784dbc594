"""Values that reach psycopg2 are instances of exact built-in types."""
# ruff: noqa: DTZ001, DTZ901 - names are sentences; naive datetimes are values, too

import math
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from http import HTTPStatus
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg2.extensions
import pytest
from psycopg2 import extras
from psycopg2.extensions import AsIs, Binary
from psycopg2.sql import SQL, Composed, Identifier

from todoservice.database import values
from todoservice.database.values import DEEPEST, UnsupportedValue, UnusableValue, plain, plain_uuid

# Not typed: a plugin may bind anything.
DateRange: Any = extras.DateRange
DateTimeRange: Any = extras.DateTimeRange
DateTimeTZRange: Any = extras.DateTimeTZRange
Json: Any = extras.Json
NumericRange: Any = extras.NumericRange
ID = UUID("9f0c3ab2-1f5e-4c7e-9d2f-6a1b7c1de001")
BERLIN = ZoneInfo("Europe/Berlin")
FOLDED = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)
EXACT: list[Any] = [
    None, True, 5, 2**63, -(10**4000), 1.5, math.nan, math.inf, "a", b"a", Decimal("1.50"), Decimal("NaN"),
    date(2026, 1, 2), time(3, 4, 5, 6, fold=1), FOLDED, datetime(2026, 1, 2, 3, tzinfo=UTC), datetime.max,
    timedelta(1, 2, 3), ID,
]  # fmt: skip


def rebuilt(value: Any) -> Any:
    """Return the value of a parameter as psycopg2 receives it."""
    return plain({"p_title": value})["p_title"]


def written(value: Any) -> bytes:
    """Return the SQL that psycopg2 writes for the value without a connection."""
    made: bytes = psycopg2.extensions.adapt(value).getquoted()
    return made


@pytest.mark.parametrize("value", EXACT, ids=repr)
def test_exact_value_is_bound_as_it_is(value: Any) -> None:
    assert rebuilt(value) is value


def test_parameters_are_copied() -> None:
    given = {"p_title": "a"}
    assert plain(given) == given
    assert plain(given) is not given


class Word(StrEnum):
    MILK = "milk"


class Level(IntEnum):
    HIGH = 3


class Day(date, Enum):
    FIRST = 2026, 1, 2


class Frozen(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Frozen":
        return cls(2026, 1, 2, 3, 4, 5, 6, tz)


def sub(kind: type[Any], *arguments: Any, **attributes: Any) -> Any:
    """Return an instance of a subclass with these attributes."""
    return type("Sub", (kind,), attributes)(*arguments)


class Zone(tzinfo):
    def dst(self, _: datetime | None) -> None:
        return None

    def tzname(self, _: datetime | None) -> None:
        return None


class Moving(Zone):
    """A time zone of a plugin's own."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        return sub(timedelta, 0, 5400)  # type: ignore[no-any-return]


class Nowhere(Zone):
    """A time zone without an offset."""

    def utcoffset(self, _: datetime | None) -> None:
        return None


HALF_PAST = timezone(timedelta(hours=1, minutes=30))
REBUILT: list[tuple[Any, Any]] = [
    (Word.MILK, "milk"),
    (Level.HIGH, 3),
    (HTTPStatus.OK, 200),
    (Day.FIRST, date(2026, 1, 2)),
    (Frozen.now(UTC), datetime(2026, 1, 2, 3, 4, 5, 6, UTC)),
    (sub(datetime, 2026, 10, 25, 2, 30), datetime(2026, 10, 25, 2, 30)),
    (Frozen(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), FOLDED),
    (datetime(2026, 1, 2, tzinfo=Moving()), datetime(2026, 1, 2, tzinfo=HALF_PAST)),
    (datetime(2026, 1, 2, tzinfo=Nowhere()), datetime(2026, 1, 2)),
    (sub(time, 3, 4, 5, 6, Moving()), time(3, 4, 5, 6, HALF_PAST)),
    (sub(float, 1.5), 1.5),
    (sub(bytes, b"a\0b"), b"a\0b"),
    (sub(Decimal, "1.50"), Decimal("1.50")),
    (sub(timedelta, 1, 2, 3), timedelta(1, 2, 3)),
    (sub(UUID, str(ID)), ID),
    (sub(list, [Word.MILK, [Level.HIGH, None]]), ["milk", [3, None]]),
    (sub(tuple, [Word.MILK, (1, 2)]), ("milk", (1, 2))),
    ([], []),
    (Binary(b"a"), b"a"),
    (Binary(bytearray(b"a")), b"a"),
    (Binary(memoryview(b"a")), b"a"),
    (Binary(sub(bytes, b"a")), b"a"),
    (Binary(None), None),
    (Json({"a": [1, None, "'"]}), '{"a": [1, null, "\'"]}'),
    (Json({"a": 1}, dumps=lambda _: b"[]"), "[]"),
    (sub(Json, {"a": 1}, dumps=lambda *_: sub(str, "[2]")), "[2]"),
    (NumericRange(Level.HIGH, sub(float, 4.5), sub(str, "[]")), NumericRange(3, 4.5, "[]")),
    (sub(NumericRange, -1, Decimal(2)), NumericRange(-1, Decimal(2))),
    (NumericRange(empty=True), NumericRange(empty=True)),
    (DateRange(Day.FIRST, None), DateRange(date(2026, 1, 2), None)),
    (DateTimeRange(None, Frozen.now()), DateTimeRange(None, datetime(2026, 1, 2, 3, 4, 5, 6))),
    (DateTimeTZRange(Frozen.now(UTC)), DateTimeTZRange(datetime(2026, 1, 2, 3, 4, 5, 6, UTC))),
]


@pytest.mark.parametrize(("value", "exact"), REBUILT, ids=lambda value: type(value).__name__)
def test_other_value_is_rebuilt_as_the_exact_one(value: Any, exact: Any) -> None:
    made = rebuilt(value)
    assert (type(made), repr(made)) == (type(exact), repr(exact))
    assert getattr(made, "fold", 0) == getattr(exact, "fold", 0)


def broken(*_: object, **__: object) -> None:
    """Fail where a plugin's code is called."""
    raise AssertionError


@pytest.mark.parametrize(
    ("kind", "exact"),
    [(type(exact), exact) for exact in [*EXACT, [1, [2]], (1,), NumericRange(1, 2), DateRange(date(2026, 1, 2))]
     if type(exact) not in {bool, type(None)}]
    + [(Binary, b"a")],
)  # fmt: skip
def test_rebuilding_calls_no_method_of_a_subclass(kind: Any, exact: Any) -> None:
    match exact:
        case Decimal() | int() | float() | str() | bytes() | list() | tuple():
            value = sub(kind, exact)
        case timedelta():
            value = sub(kind, exact.days, exact.seconds, exact.microseconds)
        case UUID():
            value = sub(kind, str(exact))
        case extras.Range():
            value = sub(kind, exact.lower, exact.upper)
        case _:
            fields = ("year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo")
            cls = type("Sub", (kind,), {})
            value = cls(*(getattr(exact, name) for name in fields if hasattr(exact, name)))
            exact = exact.replace(fold=0) if hasattr(exact, "fold") else exact
    for name in {*dir(kind), "__conform__", "__getattr__"} - {"__class__", "__dict__", "__doc__", "__del__"}:
        setattr(type(value), name, broken)
    made = rebuilt(value)
    assert (type(made), repr(made)) == (type(exact), repr(exact))


@pytest.mark.parametrize(
    "value",
    [Json({"a": "ä'\\"}), Binary(b"a'\0\\"), Binary(bytearray(b"a")), datetime(2026, 1, 2, tzinfo=Moving())],
    ids=lambda value: type(value).__name__,
)
def test_rebuilt_value_is_written_as_psycopg2_writes_the_original(value: Any) -> None:
    assert written(rebuilt(value)) == written(value)


def test_container_is_rebuilt_for_psycopg2_alone() -> None:
    given: list[Any] = [1, [2]]
    made = rebuilt(given)
    given[1].append(3)
    given.append(4)
    assert made == [1, [2]]


def test_every_adapter_of_psycopg2_has_a_rule() -> None:
    """A release of psycopg2 that adapts another type fails here."""
    psycopg2.extensions.register_adapter(UUID, extras.UUID_adapter)
    adapted = {kind for kind, _ in psycopg2.extensions.adapters}
    rejected = {bytearray, memoryview}
    known = {type(value) for value in EXACT} | {type(exact) for _, exact in REBUILT}
    assert {kind for kind in adapted if kind.__module__.partition(".")[0] != "tests"} == known | rejected


def lying() -> Any:
    """Return an instance of a class whose metaclass claims that it is a str."""

    class Meta(type):
        def __eq__(cls, other: object) -> bool:
            return other is str or other is cls

        def __hash__(cls) -> int:
            return hash(str)

        @property
        def __base__(cls) -> type[Any]:
            return str

        @property
        def __mro__(cls) -> tuple[type[Any], ...]:
            return (cls, str, object)

    class Lying(metaclass=Meta):
        __class__ = str  # type: ignore[assignment]

        def __conform__(self, _: object) -> object:
            return AsIs("1 OR true")

    return Lying()


def tampered(**slots: Any) -> UUID:
    """Return a UUID with other contents."""
    made = UUID(int=ID.int)
    for name, value in slots.items():
        object.__setattr__(made, name, value)
    return made


def bounded(bounds: Any) -> Any:
    """Return a range with other bounds."""
    made = NumericRange(1, 2)
    made._bounds = bounds
    return made


class Kind(Enum):
    MILK = "milk"


class Conforming:
    def __conform__(self, _: object) -> object:
        return AsIs("1 OR true")

    def getquoted(self) -> bytes:
        return b"1 OR true"


WRITES = "which can write its own SQL"
CHANGED = "which was changed after it was made"
SCALARS = "bind a str, int, float, bool, bytes, Decimal, UUID, date, time, datetime, timedelta, or a list of them"
SQL_BELONGS = "write SQL in the statement, and bind values only"
JSON = "give the parameter the type sa.JSON(), or bind psycopg2.extras.Json(value)"
RANGES = "bind a NumericRange of numbers, a DateRange, DateTimeRange, or DateTimeTZRange"
UNSUPPORTED: dict[str, tuple[Any, str]] = {
    "AsIs": (AsIs("1"), f"is an instance of AsIs, {WRITES}: {SQL_BELONGS}"),
    "SQL": (SQL("1"), f"is an instance of SQL, {WRITES}: {SQL_BELONGS}"),
    "Composed": (Composed([SQL("1")]), f"is an instance of Composed, {WRITES}: {SQL_BELONGS}"),
    "Identifier": (Identifier("a"), f"is an instance of Identifier, {WRITES}: {SQL_BELONGS}"),
    "dict": ({"a": 1}, f"is an instance of dict, {WRITES}: {JSON}"),
    "bytearray": (bytearray(b"a"), f"is an instance of bytearray, {WRITES}: bind bytes(value)"),
    "memoryview": (memoryview(b"a"), f"is an instance of memoryview, {WRITES}: bind bytes(value)"),
    "set": ({1}, f"is an instance of set, {WRITES}: bind list(value)"),
    "frozenset": (frozenset({1}), f"is an instance of frozenset, {WRITES}: bind list(value)"),
    "Enum": (
        Kind.MILK,
        f"is an instance of Kind, {WRITES}: bind its value, or give the parameter the type sa.Enum(...)",
    ),
    "object": (object(), f"is an instance of object, {WRITES}: {SCALARS}"),
    "Fraction": (Fraction(1, 2), f"is an instance of Fraction, {WRITES}: {SCALARS}"),
    "conforming": (Conforming(), f"is an instance of Conforming, {WRITES}: {SCALARS}"),
    "adapter": (psycopg2.extensions.QuotedString("a"), f"is an instance of QuotedString, {WRITES}: {SCALARS}"),
    "metaclass": (lying(), f"is an instance of Lying, {WRITES}: {SCALARS}"),
    "item": ([1, [AsIs("1")]], f"holds an instance of AsIs, {WRITES}: {SQL_BELONGS}"),
    "item of a tuple": ((Conforming(),), f"holds an instance of Conforming, {WRITES}: {SCALARS}"),
    "number of a UUID": (tampered(int="' OR true"), f"is an instance of UUID, {CHANGED}: bind a new uuid.UUID"),
    "subclass of int in a UUID": (
        tampered(int=sub(int, 1)),
        f"is an instance of UUID, {CHANGED}: bind a new uuid.UUID",
    ),
    "UUID out of range": (tampered(int=2**128), f"is an instance of UUID, {CHANGED}: bind a new uuid.UUID"),
    "negative UUID": (tampered(int=-1), f"is an instance of UUID, {CHANGED}: bind a new uuid.UUID"),
    "empty UUID": (UUID.__new__(UUID), f"is an instance of UUID, {CHANGED}: bind a new uuid.UUID"),
    "range": (extras.Range(1, 2), f"is an instance of Range, {WRITES}: {RANGES}"),
    "end of a range": (
        NumericRange(" OR true OR t.title = "),
        f"holds an instance of str, which is no end of a NumericRange: {SCALARS}",
    ),
    "boolean end of a range": (
        NumericRange(True, 2),
        f"holds an instance of bool, which is no end of a NumericRange: {SCALARS}",
    ),
    "SQL in a range": (DateRange(AsIs("1")), f"holds an instance of AsIs, {WRITES}: {SQL_BELONGS}"),
    "bounds of a range": (bounded("') OR true--"), f"is an instance of NumericRange, {CHANGED}: {RANGES}"),
    "empty range object": (NumericRange.__new__(NumericRange), f"is an instance of NumericRange, {CHANGED}: {RANGES}"),
    "text in a Binary": (Binary("a"), f"is an instance of Binary, which holds no bytes: {SCALARS}"),
    "Json of no text": (
        Json(1, dumps=lambda _: AsIs("1")),
        f"holds an instance of AsIs, {WRITES}: {SQL_BELONGS}",
    ),
    "Json of a number": (Json(1, dumps=lambda _: 1), f"is an instance of Json, which is no JSON text: {SCALARS}"),
}


@pytest.mark.parametrize(("value", "words"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_value_of_another_type_is_rejected(value: Any, words: str) -> None:
    with pytest.raises(UnsupportedValue) as rejected:
        rebuilt(value)
    assert str(rejected.value) == f"the parameter title {words}"
    assert isinstance(rejected.value, TypeError)


def json_that(**attributes: Any) -> Any:
    """Return a Json that answers psycopg2 for itself."""
    made = Json({"a": 1})
    vars(made).update(attributes)
    return made


@pytest.mark.parametrize("name", ["getquoted", "__conform__", "prepare", "__str__"])
def test_attributes_of_a_json_write_no_sql(name: str) -> None:
    assert rebuilt(json_that(**{name: lambda *_: AsIs("'' OR true")})) == '{"a": 1}'


def nested(depth: int, item: Any = 1) -> Any:
    """Return an item in so many lists."""
    for _ in range(depth):
        item = [item]
    return item


def ranged(item: Any) -> Any:
    """Return a range that ends in anything."""
    made = DateRange()
    made._lower = item
    return made


def json_of(item: Any) -> Any:
    """Return a Json whose text is anything."""
    return Json(1, dumps=lambda _: item)


def range_of_itself(_: Any) -> Any:
    """Return a range that ends in itself."""
    made = ranged(None)
    made._lower = made
    return made


def binary_of_itself(_: Any) -> Binary:
    """Return a Binary that holds itself."""
    made = Binary(b"")
    Binary.__init__(made, made)
    return made


@pytest.mark.parametrize(
    "container",
    [lambda made: made, lambda made: (made,), lambda made: [[made]], ranged, json_of, Binary, range_of_itself,
     binary_of_itself],
)  # fmt: skip
def test_value_that_contains_itself_is_rejected(container: Callable[[Any], Any]) -> None:
    made: list[Any] = [1]
    made.append(container(made))
    with pytest.raises(UnsupportedValue) as rejected:
        rebuilt(made)
    assert str(rejected.value) == "the parameter title contains itself: bind a list without a cycle"


def test_list_may_stand_in_another_twice() -> None:
    inner = [Word.MILK]
    assert rebuilt([inner, inner, [inner]]) == [["milk"], ["milk"], [["milk"]]]


def test_value_may_be_nested_as_deep_as_the_limit() -> None:
    assert rebuilt(nested(DEEPEST, Word.MILK)) == nested(DEEPEST, "milk")


LONGEST = sys.get_int_max_str_digits()
INFINITE = "The parameter title has an infinite Decimal: give a finite one, or None for an open end of a range"
ENDLESS = "The parameter title has a range that ends in NaN or infinity: give None for an open end"
LONG = f"The parameter title has an integer of more than {LONGEST} digits: give a smaller one"
DEEP = f"The parameter title is nested deeper than {DEEPEST} levels: give fewer"
UNUSABLE: dict[str, tuple[Any, str]] = {
    "integer": (10**LONGEST, LONG),
    "negative integer": (-(10**LONGEST), LONG),
    "integer of a subclass": (sub(int, 10**LONGEST), LONG),
    "integer in a list": ([[10**LONGEST]], LONG),
    "integer in a tuple": ((10**LONGEST,), LONG),
    "integer in a range": (NumericRange(0, 10**LONGEST), LONG),
    "NaN in a range": (NumericRange(math.nan, 1), ENDLESS),
    "infinity in a range": (NumericRange(0, math.inf), ENDLESS),
    "infinity of a subclass in a range": (NumericRange(0, sub(float, -math.inf)), ENDLESS),
    "NaN of a Decimal in a range": (NumericRange(Decimal("NaN")), ENDLESS),
    "signaling NaN of a Decimal in a range": (NumericRange(Decimal("sNaN")), ENDLESS),
    "infinite Decimal in a range": (NumericRange(None, Decimal("-Infinity")), INFINITE),
    "infinite Decimal": (Decimal("Infinity"), INFINITE),
    "infinite Decimal of a subclass": (sub(Decimal, "-Infinity"), INFINITE),
    "list": (nested(DEEPEST + 1), DEEP),
    "list with an enum": (nested(DEEPEST + 1, Word.MILK), DEEP),
    "deep list": (nested(100_000), DEEP),
    "empty tuple": ((), "The parameter title has an empty tuple, and IN () is not SQL: give an item"),
    "empty tuple in a tuple": (((),), "The parameter title has an empty tuple, and IN () is not SQL: give an item"),
}


@pytest.mark.parametrize(("value", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_value_that_cannot_be_written_is_rejected(value: Any, words: str) -> None:
    with pytest.raises(UnusableValue) as rejected:
        rebuilt(value)
    assert str(rejected.value) == words
    assert isinstance(rejected.value, ValueError)


def test_longest_integer_is_bound() -> None:
    value = 10**LONGEST - 1
    assert rebuilt([value]) == [value]


def test_decimal_has_no_limit_of_digits() -> None:
    assert rebuilt(sub(Decimal, 10**5000)) == Decimal(10**5000)


Tamper = Callable[[], object]


def zone_that(tamper: Tamper) -> datetime:
    """Return a moment whose time zone does something else as well."""
    return datetime(2026, 1, 1, tzinfo=sub(Moving, utcoffset=lambda *_: tamper() or timedelta(0)))


def json_text_that(tamper: Tamper) -> Any:
    """Return a Json whose text is made by what does something else as well."""
    return Json(1, dumps=lambda _: tamper() or "1")


@pytest.mark.parametrize("code", [zone_that, json_text_that, lambda tamper: [json_text_that(tamper)]])
@pytest.mark.parametrize("given", [lambda id: id, lambda id: [id], lambda id: sub(tuple, [id]), DateRange])
def test_code_that_runs_while_values_are_rebuilt_changes_none(
    code: Callable[[Tamper], Any], given: Callable[[UUID], Any]
) -> None:
    """The offset of a time zone and the text of a Json come from a plugin's code."""
    changed = tampered()
    with pytest.raises(UnsupportedValue, match=CHANGED):
        plain({"id": given(changed), "last": code(lambda: object.__setattr__(changed, "int", "' OR true"))})


def test_time_zone_is_read_once() -> None:
    """psycopg2 writes the offset that was checked."""
    offsets = iter([timedelta(hours=1)])
    moment = datetime(2026, 1, 1, tzinfo=sub(Moving, utcoffset=lambda *_: next(offsets)))
    assert written(rebuilt(moment)) == b"'2026-01-01T00:00:00+01:00'::timestamptz"


def test_frozen_clock_leaves_the_exact_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a library replaces the class in every module that has it."""
    monkeypatch.setattr(values, "datetime", Frozen)
    monkeypatch.setattr(values, "date", type("FrozenDate", (date,), {}))
    assert type(rebuilt(Frozen.now(Moving()))) is datetime
    assert type(rebuilt(sub(date, 2026, 1, 2))) is date
    assert rebuilt(FOLDED) is FOLDED


def test_error_of_dumps_is_left_as_it_is() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        rebuilt(Json({1, 2}))


def test_name_of_another_type_is_not_shown() -> None:
    with pytest.raises(UnsupportedValue, match="the parameter with another name than a str is an instance of object"):
        plain({sub(str, "p_title"): object()})


class Other:
    """A UUID of another library, which inherits nothing."""

    def __str__(self) -> str:
        return str(ID)


@pytest.mark.parametrize("value", [ID, sub(UUID, str(ID), __str__=lambda _: str(UUID(int=0))), Other(), str(ID)])
def test_user_is_a_new_uuid(value: Any) -> None:
    made = plain_uuid(value)
    assert (type(made), made) == (UUID, ID)
    assert made is not value


@pytest.mark.parametrize(
    "value", [tampered(int="' OR true"), tampered(int=sub(int, 1)), tampered(int=2**128), UUID.__new__(UUID)]
)
def test_changed_uuid_is_no_user(value: UUID) -> None:
    with pytest.raises(TypeError) as rejected:
        plain_uuid(value)
    assert str(rejected.value) == (
        "the user's id is an instance of UUID, which was changed after it was made: give a new uuid.UUID"
    )
