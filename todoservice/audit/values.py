"""Which values may be bound: those of types that psycopg2 writes as literals by itself.

A value of any other type may say for itself what SQL it is.
"""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from psycopg2.extensions import Binary
from psycopg2.extras import DateRange, DateTimeRange, DateTimeTZRange, Json, NumericRange, Range

PLAIN: Final = frozenset(
    {bool, bytes, date, datetime, Decimal, float, int, str, time, timedelta, type(None), UUID, Binary}
)
"""Exact types: a subclass may say for itself what SQL it is."""
_RANGES: Final = frozenset({Range, NumericRange, DateRange, DateTimeRange, DateTimeTZRange})
_NUMBERS: Final = frozenset({int, float, Decimal, type(None)})
_OF_JSON: Final = frozenset(vars(Json(None)))
_BOUNDS: Final = frozenset({"[)", "(]", "()", "[]", None})


def is_safe(value: Any, *, listed: bool) -> bool:
    """Say whether the value can only be a literal: a plain one, an array or a range of such.

    `listed` says whether it stands after IN, where a tuple is a list of literals.
    """
    kind = type(value)
    if kind is Json:
        # Written in Python: an instance may have attributes that stand before those of its class.
        return bool(vars(value).keys() <= _OF_JSON)
    if kind in PLAIN:
        return True
    if kind is list:
        return all(is_safe(item, listed=False) for item in value)
    if kind is tuple:
        return listed and all(type(item) in PLAIN for item in value)
    if kind in _RANGES:
        return _is_safe_range(value, kind)
    return False


def _is_safe_range(value: Any, kind: type[Any]) -> bool:
    bounds = value._bounds  # noqa: SLF001
    if type(bounds) not in {str, type(None)} or bounds not in _BOUNDS:
        return False
    ends = {type(value.lower), type(value.upper)}
    # psycopg2 writes a range of numbers as one literal, and its ends into that without a look at them.
    return ends <= (_NUMBERS if kind is NumericRange else PLAIN)
