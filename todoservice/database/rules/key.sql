-- A key without the owner in it can meet another user's row.
WITH declared AS (
    SELECT oid, oid::regclass AS name, relname = ANY(:owned) AS owned,
        CASE WHEN relname = ANY(:owned) THEN 'user_id' WHEN relname = 'users' THEN 'id' END AS owner
    FROM pg_catalog.pg_class
    WHERE relnamespace = to_regnamespace(:schema) AND relname = ANY(:tables)
), key AS (
    SELECT declared.*, c.conname, c.contype, c.convalidated, far.oid::regclass AS target,
        far.relnamespace = to_regnamespace(:schema) AS near, far.oid = to_regclass(:schema || '.users') AS to_users,
        EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = far.oid AND a.attname = 'user_id' AND NOT a.attisdropped) AS to_owned, (
        SELECT array_agg(a.attname::text ORDER BY place) FROM unnest(c.conkey) WITH ORDINALITY AS k (number, place)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.number
    ) AS columns, (
        SELECT array_agg(a.attname::text ORDER BY place) FROM unnest(c.confkey) WITH ORDINALITY AS k (number, place)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = k.number
    ) AS target_columns
    FROM declared
    JOIN pg_catalog.pg_constraint AS c ON c.conrelid = declared.oid AND c.contype IN ('p', 'f')
    LEFT JOIN pg_catalog.pg_class AS far ON far.oid = c.confrelid AND c.contype = 'f'
)
SELECT format('%s has another primary key than (user_id, id)', name), :author
FROM declared
WHERE owned AND NOT EXISTS (
    SELECT FROM key WHERE key.oid = declared.oid AND contype = 'p' AND columns = ARRAY['user_id', 'id'])
UNION ALL
SELECT format('the foreign key %I of %s shows whether a user exists', conname, name), :author
FROM key
WHERE contype = 'f' AND to_users AND NOT (owned AND columns = ARRAY['user_id'] AND target_columns = ARRAY['id'])
UNION ALL
SELECT format('the foreign key %I of %s can point at another user''s row of %s', conname, name, target), :author
FROM key
WHERE contype = 'f' AND owned AND to_owned
    AND (array_position(columns, 'user_id') = array_position(target_columns, 'user_id')) IS NOT TRUE
UNION ALL
SELECT format('the foreign key %I of %s shows whether a row exists in %s, which is no plugin''s table', conname, name, target),
    :author
FROM key
WHERE contype = 'f' AND owner IS NOT NULL AND NOT near AND NOT to_owned
UNION ALL
SELECT format('the foreign key %I of %s was never validated', conname, name),
    format('run ALTER TABLE %s VALIDATE CONSTRAINT %I', name, conname)
FROM key
WHERE contype = 'f' AND owned AND NOT convalidated
UNION ALL
SELECT format('%s is unique over all users, which tells one what another has', i.indexrelid::regclass), :author
FROM declared
JOIN pg_catalog.pg_index AS i ON i.indrelid = declared.oid
LEFT JOIN pg_catalog.pg_constraint AS c ON c.conindid = i.indexrelid AND c.contype IN ('u', 'x')
WHERE owner IS NOT NULL AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary AND NOT EXISTS (
    -- INCLUDE adds no column to the key, an exclusion may use another operator than =, and an operator class of one's
    -- own may take all owners for equal.
    SELECT FROM pg_catalog.pg_attribute AS a
    JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place) ON k.number = a.attnum AND place <= i.indnkeyatts
    JOIN pg_catalog.pg_opclass AS o ON o.oid = i.indclass[(place - 1)::int] AND o.opcdefault
    WHERE a.attrelid = declared.oid AND a.attname = declared.owner
        AND (c.conexclop IS NULL OR c.conexclop[place] = 'pg_catalog.=(uuid,uuid)'::regoperator)
        AND (o.oid < 16384 OR EXISTS (SELECT FROM pg_catalog.pg_depend AS d
            WHERE d.classid = 'pg_opclass'::regclass AND d.objid = o.oid AND d.deptype = 'e'))
)
UNION ALL
SELECT format('the column user_id of %s is not a uuid that every row has', name), :author
FROM declared
WHERE owned AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = declared.oid AND a.attname = 'user_id' AND a.attnotnull AND a.atttypid = 'uuid'::regtype
)
