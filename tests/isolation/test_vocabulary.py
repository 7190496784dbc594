"""Each word of the audit is used by a statement that PostgreSQL runs, and no other word is accepted."""

import re
from collections.abc import Iterator
from typing import Any, Final

import psycopg2
import pytest
import sqlalchemy as sa
from audit_functions import CALLS, IN_SQL, SINCE, STABLE, SYNTAX, VOLATILE
from audit_models import Mood, Slug, Step
from audit_shapes import ACCEPTED
from databases import ask
from todoservice_todos.models import Todo

from todoservice.audit import Audit
from todoservice.audit.words import (
    BEFORE_PARENTHESIS,
    COMPOSITE,
    CONTEXT,
    FIELDS,
    FUNCTIONS,
    KEYWORDS,
    NAMED_COLUMNS,
    OPERATORS,
    RESERVED,
    SYSTEM_COLUMNS,
    TYPES,
)

MOODS: Final[sa.Table] = Mood.__dict__["__table__"]
OWNED: Final[list[sa.Table]] = [model.__dict__["__table__"] for model in (Todo, Step, Slug)]
AUDIT: Final = Audit(OWNED, [MOODS])
NAMES: Final = {call.partition("(")[0]: call for call in CALLS}
ROWS: Final = "FROM (SELECT 1 AS a, now() AS d) AS x"
OF_ROWS: Final = ("rows", "groups")
USES: Final = [
    f"SELECT x.a {ROWS} WHERE x.a = SOME (SELECT 1) AND NOT (false) OR (x.a IN (1))",
    f"SELECT x.a {ROWS} WHERE x.a = ALL (SELECT 1) AND x.a = ANY (ARRAY(SELECT 1)) AND x.a BETWEEN (1) AND (2)",
    f"SELECT x.a {ROWS} INNER JOIN (SELECT 1 AS b) AS y ON (true) LIMIT (1) OFFSET (0)",
    "SELECT current_time, current_timestamp, right('a', 1), CASE WHEN (true) THEN (1) ELSE (2) END",
    "SELECT (1) EXCEPT (SELECT 1) UNION (SELECT 2) INTERSECT (SELECT 2)",
    f"SELECT DISTINCT (x.a) {ROWS} GROUP BY x.a HAVING (true)",
    "SELECT 'a' LIKE ('a'), 'a' ILIKE ('a'), 'a' LIKE 'a' ESCAPE %(escape)s",
    f"SELECT count(*) {ROWS} GROUP BY GROUPING SETS ((x.a), ())",
    f"SELECT count(*) {ROWS} GROUP BY CUBE (x.a)",
    f"SELECT x.a {ROWS} ORDER BY x.a NULLS FIRST",
    "INSERT INTO todoservice.todos (user_id, id, title) VALUES (%(me)s, gen_random_uuid(), 'a') RETURNING (id)",
    "DELETE FROM todoservice.todos USING (SELECT 1 AS a) AS x WHERE todos.user_id = %(me)s",
    "SELECT id FROM todoservice.todos WHERE user_id = %(me)s FOR UPDATE NOWAIT",
    "SELECT '1'::double precision, '01:00'::time without time zone, '01:00'::time with time zone",
    "SELECT 1 != 2, 'a' !~* 'b', 'a' ~ 'a', '{}'::jsonb #> '{a}', 6 & 3, 6 | 3, 2 ^ 3, 1 <= 2, 1 >= 2",
    "SELECT ARRAY[1] && ARRAY[2], ARRAY[1] <@ ARRAY[1]",
    *(
        f"SELECT count(*) OVER (ORDER BY x.a {unit} {frame}) {ROWS}"
        for unit in OF_ROWS
        for frame in (
            "BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            "BETWEEN 1 PRECEDING AND 2 FOLLOWING",
            "BETWEEN '1' PRECEDING AND '2' FOLLOWING",
            "BETWEEN %(n)s PRECEDING AND %(n)s FOLLOWING",
            "UNBOUNDED PRECEDING",
            "CURRENT ROW",
            "1 PRECEDING",
            "'1' PRECEDING",
            "%(n)s PRECEDING",
        )
    ),
    *(
        f"SELECT count(*) OVER (ORDER BY x.{frame}) {ROWS}"
        for frame in (
            "a RANGE UNBOUNDED PRECEDING",
            "a RANGE CURRENT ROW",
            "a RANGE 1 PRECEDING",
            "d RANGE '1 day' PRECEDING",
            "a RANGE %(n)s PRECEDING",
            "d RANGE BETWEEN '1 day' PRECEDING AND '1 day' FOLLOWING",
        )
    ),
]
"""Statements with the words that no other accepted statement has."""
VALUES: Final = {"n": 1, "escape": "/", "me": "0198a5f0-0000-7000-8000-000000000001"}

CASTS: Final = {
    **dict.fromkeys(
        [
            "bigint",
            "decimal",
            "float",
            "float4",
            "float8",
            "int",
            "int2",
            "int4",
            "int8",
            "integer",
            "numeric",
            "real",
            "smallint",
        ],
        "1",
    ),
    **dict.fromkeys(["bool", "boolean"], "true"),
    **dict.fromkeys(["bytea", "char", "text", "varchar"], "a"),
    **dict.fromkeys(["json", "jsonb"], "{}"),
    **dict.fromkeys(["time", "timetz"], "01:00"),
    **dict.fromkeys(["date", "timestamp", "timestamptz"], "2026-01-01"),
    **dict.fromkeys(["daterange", "tsrange", "tstzrange"], "[2026-01-01,2026-01-02)"),
    **dict.fromkeys(["int4range", "int8range", "numrange"], "[1,2)"),
    "character varying": "a",
    "double precision": "1",
    "interval": "1 day",
    "uuid": "0198a5f0-0000-7000-8000-000000000001",
}
"""A literal of each type that a value may be cast to."""
UNKNOWN_TYPES: Final = {"tsquery", "tsvector"}
"""Types that the words allow and the grammar does not."""

TAKEN: Final = [
    "century",
    "day",
    "decade",
    "dow",
    "doy",
    "epoch",
    "hour",
    "isodow",
    "isoyear",
    "microseconds",
    "millennium",
    "milliseconds",
    "minute",
    "month",
    "quarter",
    "second",
    "timezone",
    "week",
    "year",
]
"""What PostgreSQL's manual lists for EXTRACT, less julian, timezone_hour, and timezone_minute."""

TAKE: Final = re.compile(r"""(?:%%|::|[-+*/<>=~!&|^@#]+)|%\(\w+\)s|'(?:[^']|'')*'|"[^"]*"|[0-9.]+|\w+|\S""")


def tokens(text: str) -> list[str]:
    """Return the tokens of a statement in lower case, with ' % 0 for each literal, placeholder, and number."""
    found = [token.lower() for token in TAKE.findall(text)]
    kinds = [("'", r"'"), ("%", r"%\("), ("0", r"[0-9]")]
    return [next((kind for kind, begins in kinds if re.match(begins, token)), token) for token in found]


def neighbors() -> Iterator[tuple[str, str, str]]:
    """Yield each bare token of the accepted statements, between the one before it and the one after it."""
    for text in [*ACCEPTED.values(), *USES]:
        found = ["", *tokens(text), ""]
        for before, token, after in zip(found, found[1:], found[2:], strict=False):
            if "." not in {before, after}:
                yield before, token, after


NEIGHBORS: Final = set(neighbors())


@pytest.fixture(scope="module")
def cursor(database_url: str) -> Iterator[Any]:
    """Return a cursor of a database with the tables of the accepted statements, in a transaction that is undone."""
    engine = sa.create_engine(sa.make_url(database_url).set(drivername="postgresql+psycopg2"))
    with engine.connect() as connection:
        MOODS.create(connection)
        connection.exec_driver_sql("CREATE TYPE todoservice.kind AS ENUM ('a', 'b')")
        connection.exec_driver_sql("ALTER TABLE todoservice.moods ALTER name TYPE todoservice.kind USING 'a'")
        for default in ("created_at SET DEFAULT now()", "is_completed SET DEFAULT false"):
            connection.exec_driver_sql(f"ALTER TABLE todoservice.todos ALTER {default}")
        connection.execute(sa.text("INSERT INTO todoservice.users (id) VALUES (:me)"), {"me": VALUES["me"]})
        yield connection.connection.cursor()
        connection.rollback()
    engine.dispose()


def version(url: str) -> int:
    """Return the number of the server's version."""
    [(number,)] = ask(url, "SELECT current_setting('server_version_num')::int")
    return int(number)


def failures(cursor: Any, texts: list[str]) -> dict[str, str]:
    """Run the statements, each undone. Return the errors of the ones that fail."""
    failed = {}
    for text in texts:
        cursor.execute("SAVEPOINT before_it")
        try:
            cursor.execute(text, {name: value for name, value in VALUES.items() if f"%({name})s" in text} or None)
        except psycopg2.Error as error:
            failed[text] = str(error)
        cursor.execute("ROLLBACK TO before_it")
    return failed


# Functions


def test_each_allowed_function_has_a_call() -> None:
    assert NAMES.keys() == FUNCTIONS


@pytest.mark.parametrize("name", sorted(NAMES))
def test_call_of_an_allowed_function_is_accepted(name: str) -> None:
    fault = AUDIT.verdict(f"SELECT {NAMES[name]}").fault
    assert fault is None


def test_postgresql_runs_each_allowed_function(cursor: Any, server_url: str) -> None:
    runnable = [call for name, call in NAMES.items() if SINCE.get(name, 0) <= version(server_url)]
    assert len(runnable) >= len(NAMES) - len(SINCE)
    assert failures(cursor, [f"SELECT {call}" for call in runnable]) == {}


CATALOG: Final = """
    SELECT p.proname, array_agg(DISTINCT p.provolatile::text), array_agg(DISTINCT l.lanname::text),
        bool_or(p.prosecdef), array_agg(DISTINCT p.prokind::text),
        array_agg(DISTINCT t.typname::text) FILTER (WHERE t.typname ~ '^(reg|oid|xid|pg_|internal|cstring|refcursor)')
    FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
        CROSS JOIN LATERAL unnest(p.proargtypes::oid[] || p.prorettype) AS of(type) JOIN pg_type AS t ON t.oid = of.type
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY(string_to_array('{}', ' ')) GROUP BY 1
"""
LOOK_UPS: Final = {
    **{name: ["regconfig"] for name, why in STABLE.items() if "text search" in why},
    **{name: ["oid", "pg_lsn", "xid8"] for name in ("max", "min")},
    "age": ["xid"],
}
"""Functions that take the name of something in the catalog, or a number of PostgreSQL's own."""


def catalog(url: str) -> dict[str, tuple[Any, ...]]:
    """Return what PostgreSQL's catalog has of the allowed functions, all forms of a name in one."""
    return {name: tuple(facts) for name, *facts in ask(url, CATALOG.format(" ".join(sorted(FUNCTIONS))))}


def test_each_allowed_function_is_in_the_catalog(server_url: str) -> None:
    missing = {name for name, since in SINCE.items() if since > version(server_url)}
    assert FUNCTIONS - catalog(server_url).keys() - SYNTAX == missing & FUNCTIONS


def test_no_allowed_function_reads_or_changes_anything(server_url: str) -> None:
    """None runs as its owner; a form that may change from call to call, or that is written in SQL, is on a list."""
    found = catalog(server_url)
    volatile, stable, in_sql, look_ups = set(), set(), set(), {}
    for name, (volatilities, languages, is_definer, kinds, types) in found.items():
        assert not is_definer, name
        assert set(languages) <= {"internal", "sql"}, name
        assert set(kinds) <= {"f", "a", "w"}, name
        volatile |= {name} if "v" in volatilities else set()
        stable |= {name} if "s" in volatilities else set()
        in_sql |= {name} if "sql" in languages else set()
        if strange := [type_ for type_ in types or () if type_ != "internal"]:
            look_ups[name] = strange
    assert volatile == VOLATILE.keys() & found.keys()
    assert stable <= STABLE.keys()
    assert in_sql <= IN_SQL.keys()
    assert look_ups == LOOK_UPS


def test_operators_functions_are_called_in_from() -> None:
    allowing = Audit(OWNED[:1], [], ["Similarity", "my_rows"])
    for text in (
        "SELECT r.a FROM my_rows(1) AS r(a)",
        "SELECT r.a FROM MY_ROWS(1) AS r(a), similarity('a', 'b') AS s",
        "SELECT t.id FROM todoservice.todos AS t, LATERAL my_rows(t.title) AS r(a) WHERE t.user_id = %(me)s",
    ):
        assert allowing.verdict(text).fault is None
        assert "calls my_rows" in str(AUDIT.verdict(text).fault).lower()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT * FROM my_rows(1)", "without a name"),
        ("SELECT r.pg_sleep FROM my_rows(1) AS r", "which is no known column of r"),
        ("SELECT r.r FROM my_rows(1) AS r", "which is no known column of r"),
        ("SELECT r.pg_sleep FROM my_rows(1) AS r(a)", "which is no known column of r"),
        ("SELECT r.pg_sleep FROM LATERAL my_rows(1) AS r", "which is no known column of r"),
        ("SELECT r.a FROM my_rows((SELECT max(t.title) FROM todoservice.todos AS t)) AS r(a)", "without its user"),
        ("SELECT r.a FROM my_rows(pg_sleep(1)) AS r(a)", "calls pg_sleep"),
        ("SELECT r.a FROM public.my_rows(1) AS r(a)", "calls public.my_rows"),
        ("SELECT r.a FROM my_rows(1) AS todos(a)", "gives the name of the table todos"),
        (
            "SELECT t.id FROM todoservice.todos AS t, my_rows(1) AS r(user_id) WHERE user_id = %(me)s",
            "without its user",
        ),
        ("SELECT t.id FROM todoservice.todos AS t, my_rows(1) AS r WHERE user_id = %(me)s", "without its user"),
        ("SELECT t.id FROM todoservice.todos AS t, my_rows(%(me)s) AS r(user_id) WHERE t.user_id = r.user_id",
         "without its user"),
    ],
)  # fmt: skip
def test_what_operators_functions_in_from_do_not_open(text: str, why: str) -> None:
    allowing = Audit(OWNED[:1], [], ["my_rows"])
    assert why in str(allowing.verdict(text).fault).split(" It is: ")[0]


def test_operators_function_is_not_harmless() -> None:
    allowing = Audit([], [], ["my_rows"])
    assert allowing.verdict("SELECT 1").harmless
    for text in ("SELECT my_rows(1)", "SELECT r.a FROM my_rows(1) AS r(a)", "SELECT 1 LIMIT my_rows(1)"):
        assert not allowing.verdict(text).harmless


# Words


def keywords(url: str) -> dict[str, str]:
    """Return the words of PostgreSQL's grammar, each with its category."""
    return dict(ask(url, "SELECT word, catcode::text FROM pg_get_keywords()"))


def test_statements_with_all_words_are_accepted_and_run(cursor: Any) -> None:
    assert {text: AUDIT.verdict(text).fault for text in USES if AUDIT.verdict(text).fault} == {}
    assert failures(cursor, USES) == {}


def test_each_keyword_is_used_and_is_postgresqls(server_url: str) -> None:
    """Those that PostgreSQL does not reserve are known as grammar one by one."""
    assert KEYWORDS - {token for _, token, _ in NEIGHBORS} == set()
    categories = keywords(server_url)
    unreserved = {"between", "by", "delete", "exists", "insert", "set", "update", "values"}
    assert {word for word in KEYWORDS if categories.get(word) not in {"R", "T"}} == unreserved


def test_each_reserved_word_of_postgresql_is_known(server_url: str) -> None:
    reserved = {word for word, category in keywords(server_url).items() if category in {"R", "T"}}
    later = {word for word, since in SINCE.items() if since > version(server_url)}
    assert (reserved | (later & RESERVED)) - KEYWORDS == RESERVED


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_reserved_word_that_is_not_grammar_is_refused(word: str) -> None:
    for text in (f"SELECT {word}", f"SELECT {word} (1)", f"SELECT 1 FROM x {word} y"):
        assert f"uses {word.upper()}" in str(AUDIT.verdict(text).fault)


def test_each_context_of_a_word_is_used() -> None:
    """A word that is a name elsewhere is grammar only beside tokens that a statement has beside it."""
    known = {(word, before, "") for word, (befores, _) in CONTEXT.items() for before in befores}
    known |= {(word, "", after) for word, (_, afters) in CONTEXT.items() for after in afters}
    used = {(token, before, "") for before, token, _ in NEIGHBORS} | {
        (token, "", after) for _, token, after in NEIGHBORS
    }
    assert known - used == set()
    assert CONTEXT.keys() & (KEYWORDS | RESERVED) == set()


@pytest.mark.parametrize("word", sorted(CONTEXT))
def test_word_of_a_context_is_a_name_elsewhere(word: str) -> None:
    assert AUDIT.verdict(f"SELECT x.{word}, {word} + 1 FROM (SELECT 1 AS {word}) AS x").fault is None


NEVER_BEFORE: Final = frozenset(["cross", "for", "order", "with"])
"""Words that the first reading lets stand before a parenthesis, and the second refuses there, as PostgreSQL does."""


def test_each_word_before_a_parenthesis_is_used() -> None:
    used = {token for _, token, after in NEIGHBORS if after == "("}
    assert used & (KEYWORDS | CONTEXT.keys()) == BEFORE_PARENTHESIS - NEVER_BEFORE


@pytest.mark.parametrize("word", sorted(NEVER_BEFORE))
def test_word_that_is_never_before_a_parenthesis_is_refused_there(word: str) -> None:
    for text in (f"SELECT 1 {word} (1)", f"SELECT {word} (1)", f"SELECT 1 FROM (SELECT 1) AS x {word} (1)"):
        assert AUDIT.verdict(text).fault


@pytest.mark.parametrize("word", sorted(KEYWORDS - BEFORE_PARENTHESIS))
def test_keyword_is_no_function(word: str) -> None:
    fault = str(AUDIT.verdict(f"SELECT {word} (1)").fault)
    assert f"uses {word.upper()} before a parenthesis, which the audit does not know" in fault


# Types, fields, and columns


def test_each_type_has_a_cast() -> None:
    assert {name.partition(" ")[0] for name in CASTS} | UNKNOWN_TYPES == TYPES


@pytest.mark.parametrize("name", sorted(CASTS))
def test_cast_is_accepted(name: str) -> None:
    literal = CASTS[name]
    texts = [f"SELECT '{literal}'::{name}, CAST('{literal}' AS {name}), '{{}}'::{name}[]"]
    texts += [] if " " in name else [f"SELECT {name} '{literal}'", f"SELECT x.{name} FROM (SELECT 1 AS {name}) AS x"]
    for text in texts:
        assert AUDIT.verdict(text).fault is None, text


def test_postgresql_runs_each_cast(cursor: Any) -> None:
    assert failures(cursor, [f"SELECT '{literal}'::{name}" for name, literal in CASTS.items()]) == {}


@pytest.mark.parametrize(
    "name",
    [
        *sorted(UNKNOWN_TYPES), "bit", "cidr", "inet", "int4multirange", "jsonpath", "macaddr", "money", "name", "oid",
        "pg_lsn", "point", "refcursor", "regclass", "regcollation", "regconfig", "regdictionary", "regnamespace",
        "regoper", "regoperator", "regproc", "regprocedure", "regrole", "regtype", "tid", "txid_snapshot", "xid",
        "xid8", "xml",
    ],
)  # fmt: skip
def test_cast_to_another_type_is_refused(name: str) -> None:
    for text in (f"SELECT '1'::{name}", f"SELECT CAST('1' AS {name})", f"SELECT {name} '1'", f"SELECT ''::{name}[]"):
        assert AUDIT.verdict(text).fault


def test_each_field_of_a_date_is_known() -> None:
    assert set(TAKEN) == FIELDS


@pytest.mark.parametrize("field", TAKEN)
def test_field_of_a_date_is_extracted(cursor: Any, field: str) -> None:
    text = f"SELECT extract({field} FROM now())"
    assert AUDIT.verdict(text).fault is None
    assert failures(cursor, [text]) == {}


@pytest.mark.parametrize("word", ["user", "current_user", "session_user", "pg_sleep(1)", "(SELECT 1)"])
def test_what_is_no_field_is_not_extracted(word: str) -> None:
    assert AUDIT.verdict(f"SELECT extract({word} FROM now())").fault


def test_each_system_column_is_known(server_url: str) -> None:
    """And oid, which tables of PostgreSQL have as a column of their own."""
    found = ask(server_url, "SELECT DISTINCT attname::text FROM pg_attribute WHERE attnum < 0")
    assert {name for (name,) in found} | {"oid"} == SYSTEM_COLUMNS


@pytest.mark.parametrize("name", sorted(SYSTEM_COLUMNS))
def test_system_column_is_refused(name: str) -> None:
    for text in (f"SELECT {name} FROM todoservice.todos WHERE user_id = %(me)s", f"SELECT length({name}::text)"):
        assert f"uses {name}, which is PostgreSQL's own" in str(AUDIT.verdict(text).fault)


def test_functions_that_may_return_a_row_are_known(server_url: str) -> None:
    """Those with a polymorphic or composite result; the others are grammar, and not in the catalog."""
    query = f"""
        SELECT DISTINCT proname::text FROM pg_proc JOIN pg_type AS t ON t.oid = prorettype
        WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN ('{"', '".join(sorted(FUNCTIONS))}')
            AND prokind = 'f' AND (t.typrelid <> 0 OR t.typname IN ('record', 'anyelement', 'anycompatible'))
            AND proargmodes IS NULL
    """
    assert {name for (name,) in ask(server_url, query)} | {"coalesce", "greatest", "least", "nullif"} == COMPOSITE


def test_columns_of_functions_are_postgresqls(server_url: str) -> None:
    """`unnest` of a tsvector has columns too: they must be named, like those of every other function."""
    query = f"""
        SELECT proname, array_agg(DISTINCT name) FROM pg_proc, unnest(proargnames, proargmodes) AS of(name, mode)
        WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN ('{"', '".join(sorted(FUNCTIONS))}')
            AND mode IN ('o', 'b', 't') GROUP BY 1
    """
    found = {name: frozenset(columns) for name, columns in ask(server_url, query)}
    assert found.pop("unnest") == {"lexeme", "positions", "weights"}
    assert found == {name: frozenset(columns) for name, columns in NAMED_COLUMNS.items()}
    assert "no known column of u" in str(AUDIT.verdict("SELECT u.lexeme FROM unnest(ARRAY['a']) AS u").fault)


@pytest.mark.parametrize("name", sorted(NAMED_COLUMNS))
def test_columns_of_a_function_are_read(name: str) -> None:
    columns = ", ".join(f"f.{column}" for column in sorted(NAMED_COLUMNS[name]))
    assert AUDIT.verdict(f"SELECT {columns} FROM {name}('[]') AS f").fault is None
    assert "no known column of f" in str(AUDIT.verdict(f"SELECT f.f FROM {name}('[]') AS f").fault)


# Operators


def test_each_operator_is_used() -> None:
    used = {token for _, token, _ in NEIGHBORS if re.fullmatch(r"%%|[-+*/<>=~!&|^@#]+", token)}
    assert used == OPERATORS


@pytest.mark.parametrize(
    "operator",
    [
        "#",
        "##",
        "#-",
        "#=",
        "!",
        "!!",
        "<->",
        "<#>",
        "<=>",
        "<%",
        "%>",
        "<<%",
        "@-@",
        "@@@",
        "@?",
        "?|",
        "?&",
        "|/",
        "||/",
        "<<",
        ">>",
        "<<|",
        "|>>",
        "&<",
        "&>",
        "-|-",
        "^@",
        "~~",
        "~~*",
        "!~~",
        "~=",
        "~<~",
        "~>=~",
        "*=",
        "=-",
        "--",
        "/*",
        "=>",
        ":=",
        "<<=",
        ">>=",
        "!=-",
        "|&>",
        "^-",
        "?-",
        "?",
    ],
)
def test_another_operator_is_refused(operator: str) -> None:
    for text in (f"SELECT 1 {operator} 2", f"SELECT {operator} 2", f"SELECT 1{operator}2"):
        assert AUDIT.verdict(text).fault
