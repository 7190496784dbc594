"""Parameter values: psycopg2 receives instances of exact built-in types, and nothing else.

psycopg2 calls methods of an object to write it as SQL: `__conform__`, `getquoted`, `isoformat`, `__str__`. A plugin's
class can return any SQL there. So a value of another class is rebuilt from what CPython stores in it, read with the
methods and descriptors of the built-in type, or rejected.

Types are compared by identity, and found by the memory layout that they inherit (`__base__`): a metaclass can override
`==` and `hash`, and a class can override what `isinstance` reads.
"""

import math
import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NoReturn
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg2.extensions import AsIs, Binary
from psycopg2.extras import DateRange, DateTimeRange, DateTimeTZRange, Json, NumericRange, Range
from psycopg2.sql import Composable

KEY: Final = "p_"
"""Begins the name of every bind parameter: SQLAlchemy takes one named as a column for a value of that column.

Messages leave it out.
"""
DEEPEST: Final = 32
"""How deep lists and other containers may be nested in a value."""


class UnsupportedValue(TypeError):
    """A value's type could write SQL of its own. The message names the parameter and what to bind instead."""


class UnusableValue(ValueError):
    """A value of a supported type cannot be written as SQL, which is the client's fault. The message has the reason."""


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters with an instance of an exact built-in type for each value.

    Raises UnsupportedValue for a value of another type, and UnusableValue for one that cannot be written as SQL.
    """
    if all(map(_is_plain, parameters.values())):
        return dict(parameters)
    rebuilding = _Rebuilding()
    made = {name: rebuilding.parameter(name, value) for name, value in parameters.items()}
    # A plugin's code that ran meanwhile could change a UUID that was checked before. The result calls none.
    return plain(made) if rebuilding.has_called else made


def plain_uuid(value: object) -> UUID:
    """Return a new UUID with the number that a UUID, or an instance of a subclass, stores.

    Any other object is read as text, such as a UUID of another library, which stores no such number. Raises TypeError
    for a UUID that was changed after it was made, and ValueError for a text that is no UUID.
    """
    if type(value) is not UUID and _found(_MAKERS, value) is not _uuid:
        return UUID(str(value))
    number = _stored_number(value)
    if number is None:
        msg = f"the user's id is an instance of {_name(type(value))}, which {_CHANGED}: give a new uuid.UUID"
        raise TypeError(msg)
    return UUID(int=number)


def _is_plain(value: Any) -> bool:
    """Return True for an instance of an exact type that psycopg2 writes as a literal, without a plugin's code."""
    kind: type[Any] = type(value)
    if id(kind) in _PLAIN:
        return True
    if kind is UUID:
        number = getattr(value, "int", None)
        return type(number) is int and not number >> 128
    if kind is int:
        return -_BIG < value < _BIG  # type: ignore[no-any-return]  # bool() would cost a call
    if id(kind) in _WITH_ZONE:
        return id(type(value.tzinfo)) in _ZONES
    return kind is Decimal and not value.is_infinite()


def _ids(*kinds: type[Any]) -> frozenset[int]:
    return frozenset(map(id, kinds))


_PLAIN: Final = _ids(str, type(None), bool, float, bytes, date, timedelta)
_WITH_ZONE: Final = _ids(datetime, time)
_ZONES: Final = _ids(type(None), timezone, ZoneInfo)
"""Exact types whose `utcoffset` is the standard library's."""
_BIG: Final = 2**63
"""Integers below this need no look at their length."""


class _Rebuilding:
    """The values of one message, while they are rebuilt."""

    def __init__(self) -> None:
        self.has_called = False
        """Whether code ran that a plugin can have written."""
        self._name = ""

    def parameter(self, name: str, value: Any) -> Any:
        """Return the value of a parameter, rebuilt."""
        self._name = name.removeprefix(KEY) if type(name) is str else "with another name than a str"
        return self.part(value, ())

    def part(self, value: Any, inside: tuple[Any, ...]) -> Any:
        """Return a value, or an item of the containers `inside`, the outermost first."""
        if _is_plain(value):
            return value
        make = _found(_MAKERS, value)
        if make is None:
            self.reject(value, inside)
        return make(self, value, inside)

    def within(self, container: Any, inside: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what the items of this container are inside of."""
        if any(outer is container for outer in inside):
            msg = f"the parameter {self._name} contains itself: bind a list without a cycle"
            raise UnsupportedValue(msg)
        if len(inside) >= DEEPEST:
            self.fail(f"is nested deeper than {DEEPEST} levels: give fewer")
        return (*inside, container)

    def reject(self, value: Any, inside: tuple[Any, ...], but: str = "can write its own SQL") -> NoReturn:
        """Raise UnsupportedValue."""
        holds = "holds" if inside else "is"
        hint = _found(_HINTS, value) or _HINT
        msg = f"the parameter {self._name} {holds} an instance of {_name(type(value))}, which {but}: {hint}"
        raise UnsupportedValue(msg)

    def fail(self, why: str) -> NoReturn:
        """Raise UnusableValue."""
        msg = f"The parameter {self._name} {why}"
        raise UnusableValue(msg)


_Maker = Callable[[_Rebuilding, Any, tuple[Any, ...]], Any]

_CHANGED: Final = "was changed after it was made"
_ALL: Final = slice(None)
_base: Callable[[type[Any]], type[Any] | None] = vars(type)["__base__"].__get__
_name: Callable[[type[Any]], str] = vars(type)["__name__"].__get__


def _found(table: Mapping[int, Any], value: Any) -> Any:
    """Return the entry of the value's type, or of the nearest type whose memory layout it inherits; None for none."""
    kind: type[Any] | None = type(value)
    while kind is not None:
        if id(kind) in table:
            return table[id(kind)]
        kind = _base(kind)
    return None


def _getters(kind: Any, *names: str) -> list[Callable[[Any], Any]]:
    """Return what reads these attributes as `kind` stores them, whatever a subclass makes of the names."""
    return [getattr(kind, name).__get__ for name in names]


_number_of: Final = _getters(UUID, "int")[0]
_binary_content: Final = _getters(Binary, "adapted")[0]
_range_parts: Final = _getters(Range, "_lower", "_upper", "_bounds")


def _stored_number(value: Any) -> int | None:
    """Return the number of a UUID, or None if it is not one."""
    try:
        number = _number_of(value)
    except AttributeError:
        return None
    return number if type(number) is int and not number >> 128 else None


def _uuid(rebuilding: _Rebuilding, value: Any, inside: tuple[Any, ...]) -> UUID:
    number = _stored_number(value)
    if number is None:
        rebuilding.reject(value, inside, _CHANGED)
    return UUID(int=number)


def _integer(rebuilding: _Rebuilding, value: Any, _: object) -> int:
    made = int.__int__(value)
    try:
        str(made)
    except ValueError:
        rebuilding.fail(f"has an integer of more than {sys.get_int_max_str_digits()} digits: give a smaller one")
    return made


def _decimal(rebuilding: _Rebuilding, value: Any, _: object) -> Decimal:
    made = Decimal(value)
    if made.is_infinite():  # psycopg2 would write NaN
        rebuilding.fail("has an infinite Decimal: give a finite one, or None for an open end of a range")
    return made


def _copied(copy: Callable[[Any], Any]) -> _Maker:
    return lambda _rebuilding, value, _inside: copy(value)


def _copy(kind: Any, *names: str) -> Callable[[Any], Any]:
    """Return what makes an instance of `kind` of these attributes."""
    # `kind` is kept here, since a test with a frozen clock replaces the global name.
    getters = _getters(kind, *names)
    return lambda value: kind(*(get(value) for get in getters))


_copy_delta: Final = _copy(timedelta, "days", "seconds", "microseconds")


def _with_zone(kind: Any, *names: str) -> _Maker:
    """Return what copies a datetime or a time. A time zone of another class becomes the offset that it returns."""
    getters = _getters(kind, *names)
    zone_of, fold_of = _getters(kind, "tzinfo", "fold")
    offset_of = kind.utcoffset

    def copy(rebuilding: _Rebuilding, value: Any, _: object) -> Any:
        zone = zone_of(value)
        if id(type(zone)) not in _ZONES:
            rebuilding.has_called = True
            offset = offset_of(value)
            zone = None if offset is None else timezone(_copy_delta(offset))
        return kind(*(get(value) for get in getters), zone, fold=fold_of(value))

    return copy


def _items(rebuilding: _Rebuilding, container: Any, inside: tuple[Any, ...], items: list[Any]) -> list[Any]:
    within = rebuilding.within(container, inside)
    return items if all(map(_is_plain, items)) else [rebuilding.part(item, within) for item in items]


def _list(rebuilding: _Rebuilding, value: Any, inside: tuple[Any, ...]) -> list[Any]:
    return _items(rebuilding, value, inside, list.__getitem__(value, _ALL))


def _tuple(rebuilding: _Rebuilding, value: Any, inside: tuple[Any, ...]) -> tuple[Any, ...]:
    items = [*tuple.__getitem__(value, _ALL)]
    if not items:
        rebuilding.fail("has an empty tuple, and IN () is not SQL: give an item")
    return tuple(_items(rebuilding, value, inside, items))


def _range(kind: Any) -> _Maker:
    def copy(rebuilding: _Rebuilding, value: Any, inside: tuple[Any, ...]) -> Any:
        within = rebuilding.within(value, inside)
        try:
            lower, upper, bounds = (rebuilding.part(get(value), within) for get in _range_parts)
        except AttributeError:
            rebuilding.reject(value, inside, _CHANGED)
        if bounds is None:
            return kind(empty=True)
        if type(bounds) is not str or bounds not in {"[)", "(]", "()", "[]"}:
            rebuilding.reject(value, inside, _CHANGED)
        if kind is NumericRange:
            # psycopg2 writes both ends into one literal, and escapes neither.
            for end in (lower, upper):
                if type(end) not in {int, float, Decimal, type(None)}:
                    rebuilding.reject(end, within, "is no end of a NumericRange")
                if end is not None and not _is_finite(end):
                    rebuilding.fail("has a range that ends in NaN or infinity: give None for an open end")
        return kind(lower, upper, bounds)

    return copy


def _is_finite(number: float | Decimal) -> bool:
    if type(number) is Decimal:
        return number.is_finite()
    return type(number) is not float or math.isfinite(number)


def _json(rebuilding: _Rebuilding, value: Any, inside: tuple[Any, ...]) -> str:
    """Return the text of a `Json`, which psycopg2 writes as it writes a str. A subclass may override `dumps`."""
    rebuilding.has_called = True
    text = rebuilding.part(value.dumps(value.adapted), rebuilding.within(value, inside))
    if type(text) is bytes:  # as orjson.dumps returns
        return text.decode()
    if type(text) is not str:
        rebuilding.reject(value, inside, "is no JSON text")
    return text


def _binary(rebuilding: _Rebuilding, value: Any, inside: tuple[Any, ...]) -> bytes | None:
    """Return the content of a `Binary`, which psycopg2 writes as it writes bytes."""
    content = _binary_content(value)
    if type(content) is bytearray or type(content) is memoryview:
        return bytes(content)
    made = rebuilding.part(content, rebuilding.within(value, inside))
    if made is not None and type(made) is not bytes:
        rebuilding.reject(value, inside, "holds no bytes")
    return made


def _by_id(table: Mapping[type[Any], Any]) -> Mapping[int, Any]:
    return {id(kind): found for kind, found in table.items()}


_MAKERS: Final[Mapping[int, _Maker]] = _by_id(
    {
        str: _copied(str.__str__),
        int: _integer,
        float: _copied(float.__float__),
        bytes: _copied(lambda value: bytes.__getitem__(value, _ALL)),
        Decimal: _decimal,
        date: _copied(_copy(date, "year", "month", "day")),
        time: _with_zone(time, "hour", "minute", "second", "microsecond"),
        datetime: _with_zone(datetime, "year", "month", "day", "hour", "minute", "second", "microsecond"),
        timedelta: _copied(_copy_delta),
        UUID: _uuid,
        list: _list,
        tuple: _tuple,
        Json: _json,
        Binary: _binary,
        **{kind: _range(kind) for kind in (NumericRange, DateRange, DateTimeRange, DateTimeTZRange)},
    }
)
_HINT: Final = "bind a str, int, float, bool, bytes, Decimal, UUID, date, time, datetime, timedelta, or a list of them"
_HINTS: Final[Mapping[int, str]] = _by_id(
    {
        dict: "give the parameter the type sa.JSON(), or bind psycopg2.extras.Json(value)",
        **dict.fromkeys((bytearray, memoryview), "bind bytes(value)"),
        **dict.fromkeys((set, frozenset), "bind list(value)"),
        Enum: "bind its value, or give the parameter the type sa.Enum(...)",
        **dict.fromkeys((AsIs, Composable), "write SQL in the statement, and bind values only"),
        UUID: "bind a new uuid.UUID",
        Range: "bind a NumericRange of numbers, a DateRange, DateTimeRange, or DateTimeTZRange",
    }
)
