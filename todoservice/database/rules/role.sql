-- The service's roles can do what they hold, what those they belong to hold, and all to what they own.
WITH RECURSIVE service AS (
    SELECT * FROM pg_catalog.pg_roles WHERE rolname IN (:app, :login)
), belongs AS (
    SELECT s.oid AS role, m.member, m.roleid AS "group"
    FROM service AS s JOIN pg_catalog.pg_auth_members AS m ON m.member = s.oid
    UNION
    SELECT belongs.role, m.member, m.roleid
    FROM belongs JOIN pg_catalog.pg_auth_members AS m ON m.member = belongs."group"
)
SELECT format('the role %s has %s', s.oid::regrole, attribute), :provision
FROM service AS s
CROSS JOIN LATERAL (
    VALUES ('SUPERUSER', rolsuper), ('BYPASSRLS', rolbypassrls), ('CREATEROLE', rolcreaterole),
        ('CREATEDB', rolcreatedb), ('REPLICATION', rolreplication), ('LOGIN', rolcanlogin AND rolname = :app)
) AS held (attribute, is_held)
WHERE is_held
UNION ALL
SELECT format('the role %s is a member of %s', role::regrole, "group"::regrole),
    format('run REVOKE %s FROM %s', "group"::regrole, member::regrole)
FROM belongs
WHERE "group" NOT IN (SELECT oid FROM service WHERE rolname = :app)
UNION ALL
-- Who names the user to row-level security, may name any.
SELECT format('the role %s is a member of %s, and can read and change every user''s rows', m.member::regrole, s.oid::regrole),
    format('run REVOKE %s FROM %s', s.oid::regrole, m.member::regrole)
FROM service AS s
JOIN pg_catalog.pg_auth_members AS m ON m.roleid = s.oid
JOIN pg_catalog.pg_roles AS r ON r.oid = m.member
WHERE r.rolname NOT IN (:app, :login) AND NOT r.rolsuper
    -- The owner, who can do so anyway, switches to it in the degraded mode and manages it.
    AND m.member <> (SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname = :schema)
    AND m.member <> (SELECT datdba FROM pg_catalog.pg_database WHERE datname = current_database())
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = to_regnamespace(:schema) AND c.relname = ANY(:tables) AND c.relowner = m.member
    )
UNION ALL
SELECT format('the role %s owns the %s', s.oid::regrole, pg_describe_object(d.classid, d.objid, 0)),
    format('run REASSIGN OWNED BY %s TO CURRENT_USER, as the owner of the database', s.oid::regrole)
FROM service AS s
JOIN pg_catalog.pg_shdepend AS d ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = s.oid AND d.deptype = 'o'
JOIN pg_catalog.pg_database AS here ON here.oid = d.dbid AND here.datname = current_database()
