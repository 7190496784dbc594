-- PostgreSQL keeps foreign keys by triggers. An author's own run as who sends the statement, unless they say otherwise.
SELECT format('a foreign key of %s is switched off', c.oid::regclass),
    format('run ALTER TABLE %s ENABLE TRIGGER ALL', c.oid::regclass)
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = to_regnamespace(:schema) AND c.relname = ANY(:tables)
    AND t.tgisinternal AND t.tgenabled IN ('D', 'R')
GROUP BY c.oid
UNION ALL
SELECT format('the trigger %I of %s runs %s as that function''s owner', t.tgname, c.oid::regclass, f.oid::regprocedure),
    format('run ALTER FUNCTION %s SECURITY INVOKER, or drop the trigger', f.oid::regprocedure)
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid
WHERE c.relnamespace = to_regnamespace(:schema) AND c.relname = ANY(:tables) AND NOT t.tgisinternal AND f.prosecdef
