"""The nodes of the parser's tree that the audit knows, and the parts that each may have."""

from typing import Any, Final

from sqlglot import exp


def _parts(text: str) -> frozenset[str]:
    return frozenset(text.split())


_QUERY: Final = _parts("with_ this expression distinct order limit offset")

PARTS: Final[dict[type[Any], frozenset[str]]] = {
    exp.CTE: _parts("this alias materialized"),
    exp.Delete: _parts("with_ this using where returning"),
    exp.Except: _QUERY,
    exp.From: _parts("this"),
    exp.Insert: _parts("with_ this expression conflict returning"),
    exp.Intersect: _QUERY,
    exp.Join: _parts("this on side kind"),
    exp.Lateral: _parts("this alias"),
    exp.Lock: _parts("update expressions wait key"),
    exp.OnConflict: _parts("action expressions conflict_keys where"),
    exp.Schema: _parts("this expressions"),
    exp.Select: _parts("with_ expressions distinct from_ joins where group having order limit offset locks"),
    exp.Subquery: _parts("with_ this alias order limit offset joins"),
    exp.Table: _parts("this db alias joins"),
    exp.TableAlias: _parts("this columns"),
    exp.Union: _QUERY,
    exp.Update: _parts("with_ this expressions from_ where returning"),
    exp.Values: _parts("expressions alias"),
    exp.With: _parts("expressions recursive"),
    exp.Anonymous: _parts("this expressions"),
    # Clauses, and what decides whether a table is confined.
    exp.And: _parts("this expression"),
    exp.Column: _parts("this table db"),
    exp.DataType: _parts("this expressions nested"),
    exp.Distinct: _parts("expressions on"),
    exp.EQ: _parts("this expression"),
    exp.Group: _parts("expressions cube rollup grouping_sets"),
    exp.Having: _parts("this"),
    exp.Identifier: _parts("this quoted"),
    exp.Limit: _parts("expression"),
    exp.Offset: _parts("expression"),
    exp.Order: _parts("this expressions"),
    exp.Ordered: _parts("this desc nulls_first"),
    exp.Paren: _parts("this"),
    exp.Placeholder: _parts("this"),
    exp.Returning: _parts("expressions"),
    exp.Star: frozenset(),
    exp.Where: _parts("this"),
}

CLAUSES: Final = (
    exp.Distinct,
    exp.Group,
    exp.Having,
    exp.Limit,
    exp.Offset,
    exp.Order,
    exp.Ordered,
    exp.Returning,
    exp.Where,
)

_OPERATORS: Final = (
    "Add Alias AtTimeZone Between Cube DPipe Div Escape Filter GT GTE ILike If In Interval Is LT LTE Like Mod "
    "Mul NEQ Neg Not NullSafeEQ NullSafeNEQ Or Pow Rollup GroupingSets Sub Tuple WithinGroup Any All Window WindowSpec"
)
_CALLS: Final = (
    "Array Case Cast CurrentDate CurrentTime CurrentTimestamp Exists Extract Overlay ParseJSON StrPosition Substring "
    "Trim"
)
"""The calls that the parser reads by their names: all others are `Anonymous`."""
VALUES: Final = frozenset(
    {
        *(getattr(exp, name) for name in f"{_OPERATORS} {_CALLS}".split()),
        *CLAUSES,
        exp.And,
        exp.Anonymous,
        exp.Boolean,
        exp.Column,
        exp.DataTypeParam,
        exp.EQ,
        exp.Identifier,
        exp.Literal,
        exp.Null,
        exp.Paren,
        exp.Placeholder,
        exp.Star,
        exp.Var,  # a word of ours, or read out of a literal
    }
)
"""What a value may be made of, besides types and queries."""

TYPES: Final = frozenset(
    getattr(exp.DataType.Type, name)
    for name in _parts(
        "ARRAY BIGINT BOOLEAN CHAR DATE DATERANGE DECIMAL DOUBLE FLOAT INT INT4RANGE INT8RANGE INTERVAL JSON JSONB "
        "NUMRANGE SMALLINT TEXT TIME TIMESTAMP TIMESTAMPTZ TIMETZ TSRANGE TSTZRANGE UUID VARBINARY VARCHAR"
    )
)
