-- Default privileges open what a later migration makes.
SELECT format('new %s of %s%s will be open to %s', lower(kind), a.defaclrole::regrole,
        ' in the schema ' || nullif(a.defaclnamespace, 0)::regnamespace,
        CASE x.grantee WHEN 0 THEN 'every role' ELSE x.grantee::regrole::text END),
    format('run ALTER DEFAULT PRIVILEGES FOR ROLE %s%s REVOKE ALL ON %s FROM %s', a.defaclrole::regrole,
        ' IN SCHEMA ' || nullif(a.defaclnamespace, 0)::regnamespace, kind,
        CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END)
FROM pg_catalog.pg_default_acl AS a
CROSS JOIN LATERAL (SELECT DISTINCT grantee FROM aclexplode(a.defaclacl)) AS x
JOIN (VALUES ('r', 'TABLES'), ('S', 'SEQUENCES'), ('f', 'FUNCTIONS'), ('n', 'SCHEMAS')) AS t (letter, kind)
    ON t.letter = a.defaclobjtype::text
WHERE a.defaclnamespace IN (0, coalesce(to_regnamespace(:schema), 0))
    AND (x.grantee = 0 OR x.grantee IN (SELECT oid FROM pg_catalog.pg_roles WHERE rolname IN (:app, :login)))
