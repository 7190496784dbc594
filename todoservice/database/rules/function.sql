-- What a function does, no audit of the statement that calls it can see.
SELECT format('the role %s may call %s, which %s', r.oid::regrole, f.oid::regprocedure, concat_ws(' and ',
        CASE WHEN f.prosecdef THEN 'runs as its owner (SECURITY DEFINER)' END,
        CASE WHEN f.proleakproof THEN 'sees rows before their policy does (LEAKPROOF)' END,
        CASE WHEN NOT l.lanpltrusted THEN format('is written in %s, a language without bounds', l.lanname) END,
        CASE WHEN e.extname = 'dblink' THEN 'runs SQL over a connection of its own' END)),
    format('run %sREVOKE EXECUTE ON ROUTINE %s FROM PUBLIC, %s',
        CASE WHEN f.prosecdef THEN format('ALTER ROUTINE %s SECURITY INVOKER, or ', f.oid::regprocedure) END,
        f.oid::regprocedure, r.oid::regrole)
FROM pg_catalog.pg_roles AS r
CROSS JOIN pg_catalog.pg_proc AS f
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = f.prolang
LEFT JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
WHERE r.rolname IN (:app, :login)
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
    AND (f.prosecdef OR e.extname = 'dblink' OR e.oid IS NULL AND (f.proleakproof OR NOT l.lanpltrusted))
UNION ALL
-- An exact match of types wins over PostgreSQL's own, wherever it is on the search path.
SELECT format('the role %s may call %s, which a statement can mean by the name of PostgreSQL''s own', r.oid::regrole,
        f.oid::regprocedure),
    format('run DROP ROUTINE %s, or REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC, %s', f.oid::regprocedure,
        f.oid::regprocedure, r.oid::regrole)
FROM pg_catalog.pg_roles AS r
CROSS JOIN pg_catalog.pg_proc AS f
WHERE r.rolname IN (:app, :login) AND f.oid >= 16384
    AND has_schema_privilege(r.oid, f.pronamespace, 'USAGE') AND has_function_privilege(r.oid, f.oid, 'EXECUTE')
    AND EXISTS (SELECT FROM pg_catalog.pg_proc AS own WHERE own.oid < 16384 AND own.proname = f.proname)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e')
UNION ALL
SELECT format('the %s runs %s, which the audit cannot read', pg_describe_object(made.class, made.oid, 0),
        made.function::regprocedure),
    format('drop the %s', pg_describe_object(made.class, made.oid, 0))
FROM (
    SELECT 'pg_operator'::regclass AS class, oid, oprcode::oid AS function FROM pg_catalog.pg_operator
    UNION ALL
    SELECT 'pg_cast'::regclass, oid, castfunc FROM pg_catalog.pg_cast WHERE castfunc <> 0
) AS made
WHERE made.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
    WHERE d.classid = made.class AND d.objid = made.oid AND d.deptype = 'e')
