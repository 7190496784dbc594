-- What no plugin declares has no policies of the host's.
SELECT format('the role %s may %s %s, which no installed plugin declares', r.oid::regrole,
        string_agg(privilege, ', ' ORDER BY privilege), c.oid::regclass),
    format('run REVOKE ALL ON %s FROM PUBLIC, %s', c.oid::regclass, r.oid::regrole)
FROM pg_catalog.pg_roles AS r
CROSS JOIN pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN unnest(ARRAY['DELETE', 'INSERT', 'SELECT', 'TRIGGER', 'TRUNCATE', 'UPDATE', 'USAGE']) AS privilege
WHERE r.rolname IN (:app, :login)
    AND has_schema_privilege(r.oid, n.oid, 'USAGE')
    AND CASE
        WHEN c.relkind = 'S' AND privilege IN ('SELECT', 'UPDATE', 'USAGE')
            THEN has_sequence_privilege(r.oid, c.oid, privilege)
        WHEN c.relkind NOT IN ('r', 'p', 'v', 'm', 'f') THEN false
        WHEN privilege IN ('INSERT', 'SELECT', 'UPDATE') THEN has_any_column_privilege(r.oid, c.oid, privilege)
        WHEN privilege <> 'USAGE' THEN has_table_privilege(r.oid, c.oid, privilege)
        ELSE false
    END
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname NOT LIKE 'pg\_temp\_%'
    AND (n.nspname <> :schema OR c.relname <> ALL(:tables) AND (
        right(c.relname, length(:version_table)) <> :version_table OR EXISTS (
            SELECT FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'version_num'
        )
    ))
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    )
GROUP BY r.oid, c.oid
