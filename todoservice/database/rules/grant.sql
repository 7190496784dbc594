-- Row-level security binds a role that the host does not know only as long as it names no user.
SELECT format('the role %s may %s on %s', x.grantee::regrole,
        string_agg(DISTINCT x.privilege_type, ', ' ORDER BY x.privilege_type), c.oid::regclass),
    format('run REVOKE ALL ON %s FROM %s: only the service''s role needs it', c.oid::regclass, x.grantee::regrole)
FROM pg_catalog.pg_class AS c
CROSS JOIN LATERAL (
    SELECT grantee, privilege_type FROM aclexplode(c.relacl)
    UNION ALL
    SELECT x.grantee, x.privilege_type FROM pg_catalog.pg_attribute AS a, aclexplode(a.attacl) AS x WHERE a.attrelid = c.oid
) AS x
JOIN pg_catalog.pg_roles AS r ON r.oid = x.grantee
WHERE c.relnamespace = to_regnamespace(:schema) AND x.grantee <> c.relowner AND r.rolname <> :app
GROUP BY x.grantee, c.oid
UNION ALL
-- What says how far the schema is, is the owner's to write.
SELECT format('the role %s may change %s', r.oid::regrole, c.oid::regclass),
    format('run REVOKE ALL ON %s FROM PUBLIC, %s, then `todoservice db upgrade`', c.oid::regclass, r.oid::regrole)
FROM pg_catalog.pg_roles AS r CROSS JOIN pg_catalog.pg_class AS c
WHERE r.rolname IN (:app, :login) AND c.relnamespace = to_regnamespace(:schema) AND c.relkind = 'r'
    AND right(c.relname, length(:version_table)) = :version_table
    AND (has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE')
        OR has_table_privilege(r.oid, c.oid, 'DELETE, TRUNCATE, TRIGGER'))
