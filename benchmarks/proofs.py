"""The time of a proof: the slowest text of each kind under the audit's limits.

`python benchmarks/proofs.py` fills every construct that the audit reads up to the limits, nested and in a row, and
prints the slowest. The tests count the steps of the same texts, and require that they grow with the length.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Final

import todoservice_todos

from todoservice import Settings
from todoservice.audit import Audit, Limits
from todoservice.audit.reading import OVER, Refused, read
from todoservice.audit.words import FUNCTIONS, OPERATORS, TYPES
from todoservice.plugins.host import Host

TODOS: Final = "todoservice.todos"
MINE: Final = "t.user_id = %(me)s"

_WRAPPERS: Final = (
    "(@)", "ARRAY[@]", "ARRAY[1, @]", "ARRAY[[@]]", "(ARRAY[1])[@]", "(@)[1]", "(SELECT @)", "ARRAY(SELECT @)",
    "EXISTS (SELECT @)", "NOT @", "NOT (@)", "- (@)", "- @", "1 %% (@)", "CASE WHEN @ THEN 1 END",
    "CASE WHEN true THEN @ END", "CASE @ WHEN 1 THEN 1 END", "CASE 1 WHEN @ THEN 1 END",
    "CASE WHEN true THEN 1 ELSE @ END", "1 BETWEEN @ AND 2", "1 BETWEEN 1 AND @", "(1 BETWEEN 1 AND @)", "1 IN (@)",
    "1 NOT IN (@)", "1 IN (SELECT @)", "(@) IS NULL", "(@) IS NOT TRUE", "1 IS DISTINCT FROM @",
    "1 IS DISTINCT FROM (@)", "(@) IS NOT DISTINCT FROM 1", "'a' LIKE @", "'a' ILIKE (@)", "'a' LIKE 'a' ESCAPE @",
    "ROW(@)", "(1, @)", "(@, 1)", "1 = ANY(@)", "1 = ANY(ARRAY[@])", "1 = ANY((SELECT @))", "true AND @", "true OR @",
    "(true AND @)", "(@ OR true)", "1 = @", "(1 = @)", "(@) = 1", "extract(year FROM @)", "(@) AT TIME ZONE 'UTC'",
    "now() AT TIME ZONE @", "now() AT TIME ZONE (@)", "count(*) FILTER (WHERE @)", "count(*) OVER (PARTITION BY @)",
    "count(*) OVER (ORDER BY @)", "count(*) OVER (ORDER BY @ ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    "percentile_cont(@) WITHIN GROUP (ORDER BY 1)", "percentile_cont(0.5) WITHIN GROUP (ORDER BY @)",
    "array_agg(1 ORDER BY @)", "count(DISTINCT @)", "interval '1 day' * (@)", "date '2020-01-01' + @",
    "trim('a' FROM @)", "substring('a' FROM @)", "substring('a' FROM 1 FOR @)", "position('a' IN @)",
    "(SELECT (@) AS a)", "(SELECT a FROM (VALUES (@)) AS v(a))", "(SELECT t.a FROM (SELECT @ AS a) AS t)",
    "(SELECT * FROM (SELECT @ AS a) AS t)", "(SELECT t.a FROM unnest(ARRAY[@]) AS t(a))",
    "(SELECT t.a FROM generate_series(1, @) AS t(a))", "(SELECT t.a FROM LATERAL (SELECT @ AS a) AS t)",
    "(SELECT 1 FROM (SELECT 1) AS a JOIN (SELECT @) AS b ON true)",
    "(SELECT 1 FROM (SELECT 1) AS a JOIN (SELECT 1) AS b ON @)",
    "(SELECT 1 FROM (SELECT 1) AS a, (SELECT @) AS b)", "(SELECT 1 GROUP BY @)", "(SELECT 1 GROUP BY ROLLUP (@))",
    "(SELECT 1 GROUP BY GROUPING SETS ((@)))", "(SELECT 1 ORDER BY @)", "(SELECT 1 ORDER BY @ DESC NULLS LAST)",
    "(SELECT 1 LIMIT @)", "(SELECT 1 OFFSET @)", "(SELECT 1 LIMIT @ OFFSET 1)", "(SELECT 1 AS a LIMIT abs(@))",
    "(SELECT 1 HAVING @)", "(SELECT 1 WHERE @)", "(SELECT DISTINCT ON (@) 1)", "(WITH a AS (SELECT @) SELECT 1 FROM a)",
    "(WITH RECURSIVE a AS (SELECT @ UNION SELECT 1) SELECT 1 FROM a)", "(WITH a(x) AS (SELECT @) SELECT a.x FROM a)",
    "(SELECT @ UNION SELECT 1)", "(SELECT 1 UNION SELECT @)", "(SELECT 1 EXCEPT SELECT @)",
    "(SELECT 1 INTERSECT (SELECT @))",
    "((SELECT @))", "'{}'::jsonb -> @", "lower((@))", "coalesce((SELECT @))", "decode('a', @)", "(@)::numeric(5, 2)",
    "CAST(@ AS varchar(10))", "CAST(CASE WHEN true THEN @ END AS text)", "(@)::text::varchar",
)  # fmt: skip

NESTED: Final = {
    **{name: name for name in _WRAPPERS},
    **{f"{name}(@)": f"{name}(@)" for name in sorted(FUNCTIONS | TYPES)},
    **{f"{name}(1, @)": f"{name}(1, @)" for name in sorted(FUNCTIONS | TYPES)},
    **{f"CAST(@ AS {name})": f"CAST(@ AS {name})" for name in sorted(TYPES)},
    **{f"CAST(@ AS {name}[])": f"CAST(@ AS {name}[])" for name in sorted(TYPES)},
    **{f"(@)::{name}": f"(@)::{name}" for name in sorted(TYPES)},
    **{
        form: form
        for operator in sorted(OPERATORS)
        for form in (f"1 {operator} @", f"@ {operator} 1", f"(1 {operator} @)", f"{operator} @")
    },
}
"""Each construct that holds another value, written with @ in its place."""


def nested(form: str, depth: int) -> str:
    """Return a statement with a construct in itself, `depth` times."""
    before, _, after = form.partition("@")
    return f"SELECT {before * depth}1{after * depth}"


def _row(part: str, between: str = ", ", before: str = "SELECT ", after: str = "") -> Callable[[int], str]:
    """Return what makes a statement of a part many times over. # in the part is its number."""
    return lambda length: before + between.join(part.replace("#", str(number)) for number in range(length)) + after


_WHERE: Final = f" WHERE {MINE}"
_MOODS: Final = "SELECT 1 FROM (SELECT 1 AS n) AS m "
CHAINED: Final[dict[str, Callable[[int], str]]] = {
    "conditions": _row("t.title = 'a'", " AND ", f"SELECT t.id FROM {TODOS} AS t{_WHERE} AND "),
    "alternatives": _row("t.title = 'a'", " OR ", f"SELECT t.id FROM {TODOS} AS t{_WHERE} AND (", ")"),
    "the owner": _row(MINE, " AND ", f"SELECT 1 FROM {TODOS} AS t WHERE "),
    "the bare owner": _row("user_id = %(me)s", " AND ", f"SELECT 1 FROM {TODOS} AS t WHERE "),
    "sums": _row("1", " + "),
    "texts": _row("'a'", " || "),
    "comparisons": _row("1", " = "),
    "json steps": _row("-> 'a'", " ", "SELECT '{}'::jsonb "),
    "casts": _row("::text", "", "SELECT 1"),
    "subscripts": _row("[1]", "", "SELECT (ARRAY[1])"),
    "items": _row("1"),
    "aliases": _row("1 AS a#"),
    "rows": _row("(1, 2)"),
    "unions": _row("SELECT 1", " UNION ", ""),
    "unions in parentheses": _row("(SELECT 1)", " UNION ALL ", ""),
    "differences": _row("SELECT 1", " EXCEPT ", ""),
    "queries": _row("a# AS (SELECT 1 AS x)", ", ", "WITH ", " SELECT 1"),
    "queries with columns": _row("a#(x, y) AS (SELECT 1, 2)", ", ", "WITH ", " SELECT 1"),
    "queries of queries": lambda length: (
        "WITH a0 AS (SELECT 1 AS x), "
        + ", ".join(f"a{number + 1} AS (SELECT a{number}.x FROM a{number})" for number in range(length))
        + " SELECT 1"
    ),
    "queries that grow": lambda length: (
        "WITH a0 AS (SELECT 1 AS x), "
        + ", ".join(f"a{number + 1} AS (SELECT *, 1 AS c{number} FROM a{number})" for number in range(length))
        + " SELECT 1"
    ),
    "joins by the owner": lambda length: (
        f"SELECT 1 FROM {TODOS} AS a0 "
        + " ".join(f"JOIN {TODOS} AS a{n + 1} ON a{n + 1}.user_id = a{n}.user_id" for n in range(length))
        + " WHERE a0.user_id = %(me)s"
    ),
    "joins by the owner of the last": lambda length: (
        f"SELECT 1 FROM {TODOS} AS a0 "
        + " ".join(f"JOIN {TODOS} AS a{n + 1} ON a{n + 1}.user_id = a{n}.user_id" for n in range(length))
        + f" WHERE a{length}.user_id = %(me)s"
    ),
    "joins by a bare owner": _row("JOIN (SELECT 1) AS a# ON user_id = %(me)s", " ", _MOODS),
    "left joins": _row("LEFT JOIN (SELECT 1) AS a# ON true", " ", _MOODS),
    "cross joins": _row("CROSS JOIN (SELECT 1) AS a#", " ", _MOODS),
    "joins whose ON comes later": _row(
        "JOIN (SELECT 1) AS a# JOIN (SELECT 1) AS b# JOIN (SELECT 1) AS c# ON true ON true ON true", " ", _MOODS
    ),
    "joins without ON": _row("JOIN (SELECT 1) AS a#", " ", _MOODS),
    "sources": _row("(SELECT 1) AS a#(x)", ", ", "SELECT 1 FROM "),
    "functions as sources": _row("generate_series(1, 2) AS a#(x)", ", ", "SELECT 1 FROM "),
    "laterals": _row("LATERAL (SELECT 1) AS a#(x)", ", ", "SELECT 1 FROM "),
    "rows of values": _row("(1, 2)", ", ", "SELECT 1 FROM (VALUES ", ") AS v(a, b)"),
    "values of a row": _row("1", ", ", "SELECT 1 FROM (VALUES (", ")) AS v"),
    "a list": _row("1", ", ", "SELECT 1 IN (", ")"),
    "a list of parameters": _row("%(a#)s", ", ", "SELECT 1 IN (", ")"),
    "an array": _row("1", ", ", "SELECT ARRAY[", "]"),
    "arguments": _row("1", ", ", "SELECT coalesce(", ")"),
    "branches": _row("WHEN true THEN 1", " ", "SELECT CASE ", " END"),
    "cases": _row("CASE WHEN true THEN 1 END"),
    "orders": _row("1 DESC NULLS LAST", ", ", "SELECT 1 ORDER BY "),
    "groups": _row("1", ", ", "SELECT 1 GROUP BY "),
    "rollups": _row("ROLLUP (1)", ", ", "SELECT 1 GROUP BY "),
    "rows inserted": _row("(%(me)s, %(a#)s, 'x')", ", ", f"INSERT INTO {TODOS} (user_id, id, title) VALUES "),
    "assignments": _row("title = 'x'", ", ", f"UPDATE {TODOS} AS t SET ", _WHERE),
    "returned": _row("title", ", ", f"DELETE FROM {TODOS} AS t{_WHERE} RETURNING "),
    "ranges": _row("BETWEEN 1 AND 2", " ", "SELECT 1 "),
    "nulls": _row("IS NULL", " ", "SELECT 1 "),
    "differences from": _row("IS DISTINCT FROM 1", " ", "SELECT 1 "),
    "patterns": _row("LIKE 'a' ESCAPE 'b'", " ", "SELECT 'a' "),
    "memberships": _row("IN (1)", " ", "SELECT 1 "),
    "time zones": _row("AT TIME ZONE 'UTC'", " ", "SELECT now() "),
    "subqueries": _row("(SELECT 1)"),
    "windows": _row("count(*) OVER (PARTITION BY 1 ORDER BY 2)"),
    "filters": _row("count(*) FILTER (WHERE true)"),
    "intervals": _row("interval '1 day 2 hours'"),
    "sizes": _row("1::numeric(5, 2)"),
    "types as functions": _row("text(1)"),
    "dates": _row("date '2020-01-01'"),
    "parts of dates": _row("extract(year FROM now())"),
    "locks": _row("FOR UPDATE", " ", f"SELECT 1 FROM {TODOS} AS t{_WHERE} "),
    "tables locked": _row("t", ", ", f"SELECT 1 FROM {TODOS} AS t{_WHERE} FOR UPDATE OF "),
    "compared in a row": lambda length: (
        f"SELECT 1 FROM {TODOS} AS t WHERE ({', '.join(['t.user_id'] * length)}) = ({', '.join(['%(me)s'] * length)})"
    ),
    "points": _row(".a", "", "SELECT a"),
    "NOT": _row("NOT", " ", "SELECT ", " true"),
    "minus": _row("-", " ", "SELECT ", " 1"),
    "spaces": _row(" ", "", "SELECT", "1"),
    "a literal": _row("a", "", "SELECT '", "'"),
    "a JSON path": _row("[a.", "", "SELECT '{}'::jsonb -> '", "'"),
    "an interval": _row("1 day ", "", "SELECT interval '", "'"),
    "a number": _row("1", "", "SELECT "),
    "a name": _row("a", "", "SELECT "),
}
"""Each construct that can stand in a row of any length."""


def texts(limits: Limits) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each construct, filled up to the limits."""
    for name, form in NESTED.items():
        deep = next(text for depth in range(limits.depth, -1, -1) if _size(text := nested(form, depth), limits))
        yield f"nested: {name}", _filled(_row(deep.removeprefix("SELECT ")), limits)
    for name, chain in CHAINED.items():
        yield f"in a row: {name}", _filled(chain, limits)


def _filled(chain: Callable[[int], str], limits: Limits) -> str:
    """Return a statement of the chain that nearly reaches the limits."""
    one, two = _size(chain(1), limits), _size(chain(2), limits)
    if not one or not two:
        return chain(1)
    lengths = (limits.characters // max(len(chain(2)) - len(chain(1)), 1), limits.tokens // max(two - one, 1))
    length = min(lengths)
    while length > 1 and not _size(chain(length), limits):
        length -= max(length // 10, 1)
    return chain(length)


def _size(text: str, limits: Limits) -> int:
    """Return the number of tokens of a text that is within the limits, else 0."""
    try:
        return read(text, FUNCTIONS, limits).tokens
    except Refused as error:
        return 0 if OVER in str(error) else 1


def timed(audit: Audit, text: str, times: int) -> float:
    """Return the median time of a proof, in seconds of the process: other processes do not count."""
    taken = []
    for _ in range(times):
        gc.collect()
        begun = time.process_time()
        audit.prove(text)
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def main() -> None:
    """Print the slowest constructs under the default limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="proofs of each text, whose median is printed")
    parser.add_argument("--shown", type=int, default=15, help="how many of the slowest are printed")
    options = parser.parse_args()
    audit = Host.load(Settings.load(), [todoservice_todos]).statements.audit
    results = sorted(((timed(audit, text, options.times), name) for name, text in texts(Limits())), reverse=True)
    for seconds, name in results[: options.shown]:
        print(f"{seconds * 1000:7.1f} ms  {name}")
    print(f"{len(results)} texts under {Limits()}")


if __name__ == "__main__":
    main()
