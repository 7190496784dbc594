-- What a role makes is its own, and may stand where another's name is looked up.
SELECT format('the role %s may make %s in this database', r.oid::regrole, CASE privilege
        WHEN 'CREATE' THEN 'schemas' ELSE 'temporary tables, which outlast the user of a pooled connection,' END),
    :provision
FROM pg_catalog.pg_roles AS r CROSS JOIN unnest(ARRAY['CREATE', 'TEMPORARY']) AS privilege
WHERE r.rolname IN (:app, :login) AND has_database_privilege(r.oid, current_database(), privilege)
UNION ALL
SELECT format('the role %s may make tables and functions in the schema %I', r.oid::regrole, n.nspname),
    format('run REVOKE CREATE ON SCHEMA %I FROM PUBLIC, %s', n.nspname, r.oid::regrole)
FROM pg_catalog.pg_roles AS r CROSS JOIN pg_catalog.pg_namespace AS n
WHERE r.rolname IN (:app, :login) AND has_schema_privilege(r.oid, n.oid, 'CREATE') AND n.nspname NOT LIKE 'pg\_%temp\_%'
