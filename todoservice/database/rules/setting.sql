-- A value that a session begins with, or may set, changes what the same statement means.
SELECT format('%s begins with a value for %s', CASE WHEN t.setrole = 0 THEN 'every session' ELSE
        format('a session of the role %s', t.setrole::regrole) END, split_part(assignment, '=', 1)),
    format('run ALTER %s RESET %s', CASE
        WHEN t.setrole = 0 AND t.setdatabase <> 0 THEN format('DATABASE %I', current_database())
        WHEN t.setrole = 0 THEN 'ROLE ALL'
        WHEN t.setdatabase = 0 THEN format('ROLE %s', t.setrole::regrole)
        ELSE format('ROLE %s IN DATABASE %I', t.setrole::regrole, current_database()) END, name)
FROM pg_catalog.pg_db_role_setting AS t
CROSS JOIN LATERAL unnest(t.setconfig) AS assignment
CROSS JOIN LATERAL lower(split_part(assignment, '=', 1)) AS name
WHERE t.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
    AND (t.setrole = 0 OR t.setrole IN (
        SELECT oid FROM pg_catalog.pg_roles WHERE rolname IN (:app, :login, session_user)))
    -- A role may set most settings on itself. These change how long a statement may take, how it is planned, what is
    -- logged, or when a commit is durable, and neither the rows that it reads nor their values.
    AND name !~ '^(log|tcp|track)_' AND name NOT IN (
        'application_name', 'client_connection_check_interval', 'client_min_messages', 'deadlock_timeout',
        'default_transaction_read_only',
        'effective_cache_size', 'effective_io_concurrency', 'hash_mem_multiplier',
        'idle_in_transaction_session_timeout', 'idle_session_timeout', 'jit', 'lock_timeout', 'maintenance_work_mem',
        'random_page_cost', 'seq_page_cost', 'statement_timeout', 'synchronous_commit', 'temp_buffers',
        'transaction_timeout', 'work_mem'
    )
    -- The owner of the database may choose these for all: the service's answers do not depend on them.
    AND NOT (t.setrole = 0 AND name IN ('datestyle', 'timezone'))
UNION ALL
SELECT format('%s may set %s', CASE x.grantee WHEN 0 THEN 'every role' ELSE format('the role %s', x.grantee::regrole) END,
        p.parname),
    format('run REVOKE ALL ON PARAMETER %s FROM %s', p.parname,
        CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END)
FROM pg_catalog.pg_parameter_acl AS p
CROSS JOIN LATERAL (SELECT DISTINCT grantee FROM aclexplode(p.paracl)) AS x
WHERE x.grantee = 0 OR x.grantee IN (SELECT oid FROM pg_catalog.pg_roles WHERE rolname IN (:app, :login))
