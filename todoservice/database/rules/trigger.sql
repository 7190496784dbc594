-- PostgreSQL keeps foreign keys by triggers. No audit reads what an author's own does, such as name another user.
SELECT format('a foreign key of %s is switched off', c.oid::regclass),
    format('run ALTER TABLE %s ENABLE TRIGGER ALL', c.oid::regclass)
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = to_regnamespace(:schema) AND c.relname = ANY(:tables)
    AND t.tgisinternal AND t.tgenabled IN ('D', 'R')
GROUP BY c.oid
UNION ALL
SELECT format('the trigger %I of %s runs %s%s', t.tgname, c.oid::regclass, f.oid::regprocedure,
        CASE WHEN f.prosecdef THEN ' as that function''s owner' ELSE ', which the audit cannot read' END),
    format('run DROP TRIGGER %I ON %s', t.tgname, c.oid::regclass)
        || CASE WHEN f.prosecdef THEN '' ELSE format(', or allow %s in TODOSERVICE_ALLOWED_FUNCTIONS', f.proname) END
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
WHERE c.relnamespace = to_regnamespace(:schema) AND c.relname = ANY(:tables) AND NOT t.tgisinternal
    AND (f.prosecdef
        OR lower(f.proname) <> ALL(:functions) AND lower(format('%s.%s', n.nspname, f.proname)) <> ALL(:functions))
    AND NOT (f.oid < 16384 AND f.proname IN (
        'suppress_redundant_updates_trigger', 'tsvector_update_trigger', 'tsvector_update_trigger_column'))
