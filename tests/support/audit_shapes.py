"""What the audit accepts and what it refuses: SQL as psycopg2 gets it."""

# ruff: noqa: E501
from typing import Final

T: Final = "todoservice.todos"
S: Final = "todoservice.steps"
M: Final = "todoservice.moods"
ME: Final = "%(me)s::UUID"
MINE: Final = f"FROM {T} AS t WHERE t.user_id = {ME}"

ACCEPTED: Final[dict[str, str]] = {
    # Reads
    "no table": "SELECT 1",
    "no table, a function": "SELECT now(), gen_random_uuid(), 'it''s'",
    "unaliased": f"SELECT {T}.id FROM {T} WHERE {T}.user_id = {ME}",
    "by the table's bare name": f"SELECT todos.id FROM {T} WHERE todos.user_id = {ME}",
    "one table, no qualifiers": f"SELECT id, title FROM {T} WHERE user_id = %(me)s ORDER BY id DESC LIMIT 10",
    "lower case, alias without AS": f"select t.id from {T} t where t.user_id = %(me)s and t.title = %(title)s",
    "star": f"SELECT * {MINE}",
    "qualified star": f"SELECT t.* {MINE}",
    "user first": f"SELECT t.id FROM {T} AS t WHERE {ME} = t.user_id",
    "cast written out": f"SELECT t.id FROM {T} AS t WHERE t.user_id = CAST(%(me)s AS UUID)",
    "parentheses": f"SELECT t.id FROM {T} AS t WHERE ((t.user_id = {ME}) AND (t.title = 'a' OR t.title = 'b'))",
    "or in a conjunct": f"SELECT t.id {MINE} AND (t.is_completed OR NOT t.is_completed)",
    "between": f"SELECT t.id FROM {T} AS t WHERE t.created_at BETWEEN %(when)s AND now() AND t.user_id = {ME}",
    "keyset page": f"SELECT t.id {MINE} AND t.id < %(id)s::UUID ORDER BY t.id DESC LIMIT %(n)s OFFSET 0",
    "order with nulls": f"SELECT t.id {MINE} ORDER BY t.description ASC NULLS LAST, t.id",
    "distinct": f"SELECT DISTINCT t.title {MINE}",
    "distinct on": f"SELECT DISTINCT ON (t.title) t.title, t.id {MINE} ORDER BY t.title, t.id",
    "in a tuple": f"SELECT t.id {MINE} AND t.title IN %(tuple)s",
    "in expanded": f"SELECT t.id {MINE} AND t.title IN (%(title)s, %(title)s)",
    "any of an array": f"SELECT t.id {MINE} AND t.id = ANY(%(ids)s)",
    "array": f"SELECT ARRAY[t.title, 'x'] {MINE} AND t.title = ANY(ARRAY['a', 'b'])",
    "like with escape": f"SELECT t.id {MINE} AND t.title ILIKE '%%' || %(title)s || '%%' ESCAPE '/'",
    "not like": f"SELECT t.id {MINE} AND t.title NOT LIKE 'a%%'",
    "regular expression": f"SELECT t.id {MINE} AND t.title ~* '^a' AND t.title !~ 'b$'",
    "distinct from": f"SELECT t.id {MINE} AND t.description IS DISTINCT FROM %(title)s",
    "is": f"SELECT t.id {MINE} AND t.description IS NULL AND t.is_completed IS NOT TRUE",
    "arithmetic": f"SELECT length(t.title) %% 2 + 1 - -1 * 2 / 3 {MINE}",
    "row comparison": f"SELECT t.id {MINE} AND (t.created_at, t.id) < (%(when)s, %(id)s::UUID)",
    "case": f"SELECT CASE WHEN t.is_completed THEN 'y' ELSE 'n' END, CASE t.title WHEN 'a' THEN 1 END {MINE}",
    "casts": f"SELECT t.id::text, CAST(t.title AS VARCHAR(10)), t.created_at::date, 1::numeric(5, 2) {MINE}",
    "date literals": f"SELECT t.id {MINE} AND t.created_at > date '2020-01-01' - interval '1 day'",
    "time zone": f"SELECT t.created_at AT TIME ZONE 'UTC', t.created_at::timestamp with time zone {MINE}",
    "extract": f"SELECT extract(year FROM t.created_at), EXTRACT(EPOCH FROM t.created_at) {MINE}",
    "dates": f"SELECT date_trunc('month', t.created_at), to_char(t.created_at, 'YYYY-MM-DD'), current_date {MINE}",
    "strings": f"SELECT lower(t.title), left(t.title, 2), coalesce(t.description, ''), concat(t.title, 'x') {MINE}",
    "trim and substring": f"SELECT trim(t.title), substring(t.title, 1, 2), replace(t.title, 'a', 'b') {MINE}",
    "pg_catalog function": f"SELECT pg_catalog.lower(t.title) {MINE}",
    "full text": f"SELECT t.id {MINE} AND to_tsvector('english', t.title) @@ plainto_tsquery('english', %(title)s)",
    "json": f"SELECT json_build_object('a', t.title)->>'a', to_jsonb(t.title), row_to_json(t) {MINE}",
    "count": f"SELECT count(*) {MINE}",
    "aggregates": f"SELECT count(DISTINCT t.title), max(t.created_at), array_agg(t.id ORDER BY t.id DESC) {MINE}",
    "json operators": "SELECT lower(x.data ->> 'a'), data -> 'b' ->> 0, upper(data ->> 'a'), x.data #>> '{a,b}', "
    "x.data @> '{}'::jsonb, (x.data -> %(title)s)::text FROM (SELECT '{}'::jsonb AS data) AS x",
    "intervals": f"SELECT t.id {MINE} AND t.created_at > now() - interval '2 weeks 3 days' * 2",
    "truncated dates": f"SELECT date_trunc('week', t.created_at), date_part('dow', t.created_at) {MINE}",
    "json aggregate": f"SELECT coalesce(json_agg(json_build_object('id', t.id)), '[]') {MINE}",
    "filter": f"SELECT count(*) FILTER (WHERE t.is_completed) AS completed, count(*) AS total {MINE}",
    "group and having": f"SELECT t.title, count(*) {MINE} GROUP BY t.title HAVING count(*) > 1 ORDER BY count(*) DESC",
    "grouping sets": f"SELECT t.title, count(*) {MINE} GROUP BY ROLLUP (t.title)",
    "percentile": f"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY length(t.title)) {MINE}",
    "window": f"SELECT t.id, row_number() OVER (PARTITION BY t.title ORDER BY t.id DESC) AS n {MINE}",
    "window frame": f"SELECT count(*) OVER (ORDER BY t.id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) {MINE}",
    "window bound": f"SELECT count(*) OVER (ORDER BY t.id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) {MINE}",
    "window bound by parameters": f"SELECT count(*) OVER (ORDER BY t.id ROWS BETWEEN %(n)s PRECEDING AND %(n)s FOLLOWING), "
    f"count(*) OVER (ORDER BY t.created_at RANGE BETWEEN '7 days' PRECEDING AND CURRENT ROW) {MINE}",
    "lag": f"SELECT lag(t.title, 1) OVER (ORDER BY t.id) {MINE}",
    "for update": f"SELECT t.id {MINE} FOR UPDATE",
    "for share": f"SELECT t.id {MINE} FOR SHARE",
    "for share, nowait": f"SELECT t.id {MINE} FOR SHARE NOWAIT",
    "for share of": f"SELECT t.id {MINE} FOR SHARE OF t",
    "for key share": f"SELECT t.id {MINE} FOR KEY SHARE",
    "for no key update": f"SELECT t.id {MINE} FOR NO KEY UPDATE OF t SKIP LOCKED",
    "character varying": f"SELECT t.title::character varying(5), t.id::CHARACTER VARYING {MINE}",
    "for update skip locked": f"SELECT t.id {MINE} FOR UPDATE OF t SKIP LOCKED",
    # Joins
    "join, each in where": f"SELECT t.id FROM {T} AS t JOIN {S} AS s ON s.todo_id = t.id WHERE t.user_id = {ME} "
    f"AND s.user_id = {ME}",
    "join, one in its on": f"SELECT t.id FROM {T} t JOIN {S} s ON s.todo_id = t.id AND s.user_id = {ME} "
    f"WHERE t.user_id = {ME}",
    "join, both in the on": f"SELECT t.id FROM {T} t JOIN {S} s ON s.user_id = {ME} AND t.user_id = {ME}",
    "join by the owner": f"SELECT t.id FROM {T} t JOIN {S} s ON s.user_id = t.user_id AND s.todo_id = t.id "
    f"WHERE t.user_id = {ME}",
    "three by the owner": f"SELECT a.id FROM {T} a JOIN {T} b ON b.user_id = a.user_id JOIN {T} c ON "
    f"c.user_id = b.user_id WHERE c.user_id = {ME}",
    "comma": f"SELECT t.id FROM {T} t, {S} s WHERE t.user_id = {ME} AND s.user_id = t.user_id AND s.todo_id = t.id",
    "cross join": f"SELECT t.id FROM {T} t CROSS JOIN {S} s WHERE t.user_id = {ME} AND s.user_id = {ME}",
    "left join": f"SELECT t.id, s.body FROM {T} t LEFT OUTER JOIN {S} s ON s.todo_id = t.id AND s.user_id = {ME} "
    f"WHERE t.user_id = {ME}",
    "left join by the owner": f"SELECT t.id FROM {T} t LEFT JOIN {S} s ON s.user_id = t.user_id AND s.todo_id = t.id "
    f"WHERE t.user_id = {ME}",
    "left join, both in where": f"SELECT t.id FROM {T} t LEFT JOIN {S} s ON s.todo_id = t.id WHERE t.user_id = {ME} "
    f"AND s.user_id = {ME}",
    "right join": f"SELECT s.id FROM {T} t RIGHT JOIN {S} s ON s.todo_id = t.id AND t.user_id = {ME} "
    f"WHERE s.user_id = {ME}",
    "join in parentheses": f"SELECT t.id FROM {T} t LEFT JOIN ({S} s JOIN {T} u ON u.id = s.todo_id AND u.user_id = {ME} "
    f"AND s.user_id = {ME}) ON s.todo_id = t.id WHERE t.user_id = {ME}",
    "nested join": f"SELECT t.id FROM {T} t LEFT JOIN {S} s JOIN {T} u ON u.id = s.todo_id AND u.user_id = {ME} "
    f"ON s.todo_id = t.id AND s.user_id = {ME} WHERE t.user_id = {ME}",
    "self join": f"SELECT a.id FROM {T} a JOIN {T} b ON a.title = b.title WHERE a.user_id = {ME} AND b.user_id = {ME}",
    "shared alone": f"SELECT m.name FROM {M} AS m",
    "shared joined": f"SELECT t.id, m.name FROM {T} t JOIN {M} m ON m.name = t.title WHERE t.user_id = {ME}",
    "shared left joined": f"SELECT t.id FROM {T} t LEFT JOIN {M} m ON true WHERE t.user_id = {ME}",
    "lateral": f"SELECT t.id, x.body FROM {T} t LEFT JOIN LATERAL (SELECT s.body FROM {S} s WHERE s.todo_id = t.id "
    f"AND s.user_id = {ME} LIMIT 1) AS x ON true WHERE t.user_id = {ME}",
    "unnest": f"SELECT t.id FROM {T} t JOIN unnest(%(ids)s) AS x(id) ON x.id = t.id WHERE t.user_id = {ME}",
    "generate_series": "SELECT g FROM generate_series(1, 3) AS g",
    "lateral by the owner": f"SELECT t.id, x.body FROM {T} t LEFT JOIN LATERAL (SELECT s.body FROM {S} s WHERE s.user_id "
    f"= t.user_id AND s.todo_id = t.id LIMIT 1) AS x ON true WHERE t.user_id = {ME}",
    "full join, both in where": f"SELECT s.id FROM {T} t FULL OUTER JOIN {S} s ON t.id = s.todo_id WHERE t.user_id = {ME} "
    f"AND s.user_id = {ME}",
    "full join of queries": f"SELECT a.id FROM (SELECT t.id {MINE}) AS a FULL JOIN (SELECT t.id {MINE}) AS b ON a.id = b.id",
    "join by the whole key": f"SELECT t.id FROM {T} t LEFT JOIN {S} s ON (s.user_id, s.todo_id) = (t.user_id, t.id) "
    f"WHERE (t.user_id, t.title) = ({ME}, 'a')",
    "unqualified beside a function": f"SELECT id, ts_rank(to_tsvector('english', title), q) FROM {T}, "
    f"websearch_to_tsquery('english', 'a') AS q WHERE user_id = {ME} AND to_tsvector('english', title) @@ q",
    "unqualified beside a shared table": f"SELECT title FROM {T} t JOIN {M} m ON true WHERE user_id = {ME}",
    "a list of columns without as": "SELECT d.n, v.a FROM generate_series(1, 2) d(n), (VALUES (1)) v(a)",
    "a row": f"SELECT ROW(t.id, t.title) {MINE}",
    "names that fold": f"SELECT T.ID, t.Title AS TheTitle FROM TodoService.Todos AS T WHERE t.USER_ID = {ME}",
    "an upsert in upper case": f"INSERT INTO {T} (user_id, id, title) VALUES ({ME}, %(id)s, 'x') ON CONFLICT (user_id, id) "
    "DO UPDATE SET title = EXCLUDED.title",
    "more functions": f"SELECT repeat(t.title, 2), setweight(to_tsvector('english', t.title), 'A'), sha256('a'::bytea), "
    f"quote_literal(t.title) {MINE}",
    "each of an array": "SELECT e.value, w.w, s.n FROM jsonb_array_elements('[1]'::jsonb) AS e CROSS JOIN LATERAL "
    "unnest(ARRAY['a']) AS w CROSS JOIN generate_series(1, 2) AS s(n)",
    "values": f"SELECT t.id FROM {T} t JOIN (VALUES ('a', 1), ('b', 2)) AS v(title, n) ON v.title = t.title "
    f"WHERE t.user_id = {ME}",
    # Subqueries
    "exists": f"SELECT t.id {MINE} AND EXISTS (SELECT 1 FROM {S} s WHERE s.todo_id = t.id AND s.user_id = {ME})",
    "exists by the outer owner": f"SELECT t.id {MINE} AND EXISTS (SELECT 1 FROM {S} s WHERE s.todo_id = t.id "
    "AND s.user_id = t.user_id)",
    "not exists": f"SELECT t.id {MINE} AND NOT EXISTS (SELECT * FROM {S} WHERE {S}.todo_id = t.id "
    f"AND {S}.user_id = {ME})",
    "in a select": f"SELECT t.id {MINE} AND t.id IN (SELECT s.todo_id FROM {S} s WHERE s.user_id = {ME})",
    "not in a select": f"SELECT t.id {MINE} AND t.id NOT IN (SELECT s.todo_id FROM {S} s WHERE s.user_id = {ME})",
    "row in a select": f"SELECT t.id {MINE} AND (t.user_id, t.id) IN (SELECT s.user_id, s.todo_id FROM {S} s "
    f"WHERE s.user_id = {ME})",
    "the same table within": f"SELECT {T}.id FROM {T} WHERE {T}.user_id = {ME} AND {T}.id IN (SELECT {T}.id FROM {T} "
    f"WHERE {T}.user_id = {ME})",
    "scalar subquery": f"SELECT t.id, (SELECT count(*) FROM {S} s WHERE s.todo_id = t.id AND s.user_id = {ME}) {MINE}",
    "scalar subquery in order": f"SELECT t.id {MINE} ORDER BY (SELECT max(s.body) FROM {S} s WHERE s.todo_id = t.id "
    f"AND s.user_id = {ME}) DESC NULLS LAST",
    "derived": f"SELECT x.id FROM (SELECT t.id {MINE}) AS x WHERE x.id < %(id)s::UUID",
    "derived, called item": f"SELECT CAST(row_to_json(item) AS TEXT) FROM (SELECT t.id AS id {MINE}) AS item",
    "derived joined": f"SELECT t.id FROM {T} t JOIN (SELECT s.todo_id, count(*) AS n FROM {S} s WHERE s.user_id = {ME} "
    f"GROUP BY s.todo_id) AS x ON x.todo_id = t.id WHERE t.user_id = {ME}",
    "union": f"SELECT t.id {MINE} UNION SELECT s.id FROM {S} s WHERE s.user_id = {ME}",
    "union all of three, ordered": f"SELECT t.id {MINE} UNION ALL SELECT s.id FROM {S} s WHERE s.user_id = {ME} "
    f"UNION ALL SELECT t.id {MINE} ORDER BY id LIMIT 3",
    "union in parentheses": f"(SELECT t.id {MINE} LIMIT 1) UNION (SELECT t.id {MINE} LIMIT 1) ORDER BY 1",
    "except and intersect": f"SELECT t.id {MINE} EXCEPT SELECT t.id {MINE} INTERSECT SELECT t.id {MINE}",
    "common table expression": f"WITH mine AS (SELECT t.id {MINE}) SELECT count(*) FROM mine AS m",
    "two, one from the other": f"WITH a AS (SELECT t.id {MINE}), b AS (SELECT a.id FROM a) SELECT * FROM b, a AS c",
    "materialized": f"WITH a AS MATERIALIZED (SELECT t.id {MINE}), b AS NOT MATERIALIZED (SELECT 1) SELECT * FROM a",
    "with columns": f"WITH a(x) AS (SELECT t.id {MINE}), b (y) AS (SELECT a.x FROM a) SELECT b.y FROM b",
    "recursive": f"WITH RECURSIVE r AS (SELECT t.id, 1 AS n {MINE} UNION ALL SELECT r.id, r.n + 1 FROM r "
    "WHERE r.n < 3) SELECT * FROM r",
    "common table expression twice": f"WITH a AS (SELECT t.id {MINE}) SELECT a.id FROM a WHERE a.id IN "
    "(SELECT a.id FROM a)",
    "common table expression in a union": f"WITH a AS (SELECT t.id {MINE}) SELECT a.id FROM a UNION SELECT a.id FROM a",
    # Writes
    "insert": f"INSERT INTO {T} (user_id, id, title) VALUES ({ME}, %(new)s, %(title)s) RETURNING {T}.id, {T}.title",
    "insert, no space": f"INSERT INTO {T}(id, user_id, title) VALUES(gen_random_uuid(), %(me)s, lower(%(title)s))",
    "insert two": f"INSERT INTO {T} (user_id, id, title) VALUES ({ME}, gen_random_uuid(), 'a'), "
    f"({ME}, gen_random_uuid(), 'b') RETURNING *",
    "insert a default": f"INSERT INTO {T} (user_id, id, title, description) VALUES ({ME}, gen_random_uuid(), 'a', DEFAULT)",
    "insert a column with a word's name": f"INSERT INTO {S} (user_id, id, todo_id, first, date) SELECT t.user_id, "
    f"gen_random_uuid(), t.id, 1, current_date {MINE}",
    "insert from select": f"INSERT INTO {S} (user_id, id, todo_id, body) SELECT t.user_id, gen_random_uuid(), t.id, "
    f"t.title {MINE}",
    "insert the user from select": f"INSERT INTO {S} (user_id, id, todo_id) SELECT %(me)s::UUID AS user_id, "
    f"gen_random_uuid(), t.id {MINE}",
    "insert from union": f"INSERT INTO {S} (user_id, id, todo_id) SELECT t.user_id, gen_random_uuid(), t.id {MINE} "
    f"UNION ALL SELECT {ME}, gen_random_uuid(), t.id {MINE}",
    "insert many": f"INSERT INTO {T} (user_id, id, title) SELECT p0::UUID, p1::UUID, p2::VARCHAR FROM (VALUES "
    f"({ME}, gen_random_uuid(), 'a', 0), ({ME}, gen_random_uuid(), 'b', 1)) AS imp_sen(p0, p1, p2, sen_counter) "
    "ORDER BY sen_counter RETURNING id",
    "upsert": f"INSERT INTO {T} AS t (user_id, id, title) VALUES ({ME}, %(id)s, 'x') ON CONFLICT (user_id, id) "
    "DO UPDATE SET title = excluded.title || t.title WHERE t.is_completed RETURNING t.id",
    "insert or ignore": f"INSERT INTO {T} (user_id, id, title) VALUES ({ME}, %(id)s, 'x') ON CONFLICT (user_id, id) "
    "DO NOTHING",
    "insert or ignore any": f"INSERT INTO {T} (user_id, id, title) VALUES ({ME}, %(id)s, 'x') ON CONFLICT DO NOTHING",
    "update": f"UPDATE {T} SET title=%(title)s, description=NULL WHERE {T}.user_id = {ME} AND {T}.id = %(id)s::UUID "
    f"RETURNING {T}.id",
    "update with an alias": f"UPDATE {T} AS t SET is_completed = NOT t.is_completed WHERE t.user_id = {ME}",
    "update to the default": f"UPDATE {T} SET description = DEFAULT WHERE user_id = {ME}",
    "update from": f"UPDATE {T} AS t SET title = s.body FROM {S} AS s WHERE s.todo_id = t.id AND t.user_id = {ME} "
    f"AND s.user_id = t.user_id AND s.body <> ''",
    "update from a join": f"UPDATE {T} AS t SET title = 'x' FROM {S} AS s JOIN {M} AS m ON m.name = s.body "
    f"WHERE s.todo_id = t.id AND t.user_id = {ME} AND s.user_id = {ME}",
    "update to a subquery": f"UPDATE {T} AS t SET description = (SELECT max(s.body) FROM {S} s WHERE s.todo_id = t.id "
    f"AND s.user_id = {ME}) WHERE t.user_id = {ME}",
    "delete": f"DELETE FROM {T} WHERE {T}.user_id = {ME} AND {T}.id = %(new)s::UUID RETURNING {T}.id",
    "delete using": f"DELETE FROM {S} AS s USING {T} AS t WHERE t.id = s.todo_id AND t.user_id = {ME} "
    "AND s.user_id = t.user_id AND t.is_completed",
    "delete where in": f"DELETE FROM {S} WHERE user_id = %(me)s AND todo_id IN (SELECT t.id {MINE} AND t.is_completed)",
    "delete in a common table expression": f"WITH gone AS (DELETE FROM {S} WHERE {S}.user_id = {ME} AND "
    f"{S}.id = %(new)s::UUID RETURNING {S}.id) SELECT count(*) FROM gone",
    "update in a common table expression": f"WITH u AS (UPDATE {T} SET title = 'x' WHERE {T}.user_id = {ME} RETURNING "
    f"{T}.id AS id) SELECT u.id FROM u",
    "insert in a common table expression": f"WITH i AS (INSERT INTO {T} (user_id, id, title) VALUES ({ME}, "
    "gen_random_uuid(), 'a') RETURNING id) SELECT id FROM i",
    "insert from a common table expression": f"WITH a AS (SELECT t.id {MINE}) INSERT INTO {S} (user_id, id, todo_id) "
    f"SELECT {ME}, gen_random_uuid(), a.id FROM a",
    # Names and spelling
    "quoted names": f'SELECT "t"."id" AS "The Id" FROM "todoservice"."todos" AS "t" WHERE "t"."user_id" = {ME}',
    "an upper case name in quotes": f'SELECT "T".id FROM {T} AS "T" WHERE "T".user_id = {ME}',
    "columns with the names of words": f"SELECT s.first, s.date, s.filter, s.position, s.value AS value, s.date AS date "
    f"FROM {S} AS s WHERE s.user_id = {ME}",
    "non-ASCII in a literal": f"SELECT t.id {MINE} AND t.title = 'Grüße — ✓'",
    "what looks like SQL in a literal": f"SELECT t.id {MINE} AND t.title = '; DROP -- /* */ $$ :x OR \"'",
    "lines and tabs": f"SELECT t.id\r\n\tFROM {T} AS t\n WHERE t.user_id = {ME}\n",
}
