-- A view reads as its owner, whom row-level security may not bind; a materialized one keeps a copy without policies.
WITH RECURSIVE depends AS (
    SELECT r.ev_class AS reader, d.refobjid AS read
    FROM pg_catalog.pg_rewrite AS r
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
), reader AS (
    SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = to_regnamespace(:schema) AND relname = ANY(:tables)
    UNION
    SELECT depends.reader FROM depends JOIN reader ON depends.read = reader.oid
), view AS (
    SELECT oid::regclass AS name, relkind, (
        SELECT option_value FROM pg_options_to_table(reloptions) WHERE option_name = 'security_invoker'
    )::boolean IS TRUE AS invoker
    FROM reader JOIN pg_catalog.pg_class USING (oid) WHERE relkind IN ('v', 'm')
)
SELECT format('the view %s reads declared tables as its owner', name),
    format('run ALTER VIEW %s SET (security_invoker = true), or drop it', name)
FROM view WHERE relkind = 'v' AND NOT invoker
UNION ALL
SELECT format('the materialized view %s keeps a copy of declared tables, which has no policies', name),
    format('run DROP MATERIALIZED VIEW %s', name)
FROM view WHERE relkind = 'm'
