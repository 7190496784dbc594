-- What a session begins with, or may set, changes what the same statement means.
SELECT format('%s begins with %s', CASE WHEN t.setrole = 0 THEN 'every session' ELSE
        format('a session of the role %s', t.setrole::regrole) END, assignment),
    format('run ALTER %s RESET %s', CASE
        WHEN t.setrole = 0 AND t.setdatabase <> 0 THEN format('DATABASE %I', current_database())
        WHEN t.setrole = 0 THEN 'ROLE ALL'
        WHEN t.setdatabase = 0 THEN format('ROLE %s', t.setrole::regrole)
        ELSE format('ROLE %s IN DATABASE %I', t.setrole::regrole, current_database()) END, name)
FROM pg_catalog.pg_db_role_setting AS t
CROSS JOIN LATERAL unnest(t.setconfig) AS assignment
CROSS JOIN LATERAL lower(split_part(assignment, '=', 1)) AS name
WHERE t.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
    AND (t.setrole = 0 OR t.setrole IN (SELECT oid FROM pg_catalog.pg_roles WHERE rolname IN (:app, :login)))
    AND (split_part(name, '.', 1) = :schema AND name LIKE '%.%' OR name IN (
        'backslash_quote', 'role', 'row_security', 'search_path', 'session_replication_role',
        'standard_conforming_strings', 'transform_null_equals'
    ))
UNION ALL
SELECT format('%s may set %s', CASE x.grantee WHEN 0 THEN 'every role' ELSE format('the role %s', x.grantee::regrole) END,
        p.parname),
    format('run REVOKE ALL ON PARAMETER %s FROM %s', p.parname,
        CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END)
FROM pg_catalog.pg_parameter_acl AS p
CROSS JOIN LATERAL (SELECT DISTINCT grantee FROM aclexplode(p.paracl)) AS x
WHERE x.grantee = 0 OR x.grantee IN (SELECT oid FROM pg_catalog.pg_roles WHERE rolname IN (:app, :login))
