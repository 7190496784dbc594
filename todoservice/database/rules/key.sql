-- A key without the owner in it can meet another user's row.
WITH owned AS (
    SELECT oid, relname, oid::regclass AS name FROM pg_catalog.pg_class
    WHERE relnamespace = to_regnamespace(:schema) AND relname = ANY(:owned)
), key AS (
    SELECT owned.name, owned.oid, c.conname, c.contype, c.convalidated, far.name AS target, (
        SELECT array_agg(a.attname::text ORDER BY place) FROM unnest(c.conkey) WITH ORDINALITY AS k (number, place)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.number
    ) AS columns, (
        SELECT array_agg(a.attname::text ORDER BY place) FROM unnest(c.confkey) WITH ORDINALITY AS k (number, place)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = k.number
    ) AS target_columns
    FROM owned
    JOIN pg_catalog.pg_constraint AS c ON c.conrelid = owned.oid AND c.contype IN ('p', 'f')
    LEFT JOIN owned AS far ON far.oid = c.confrelid
)
SELECT format('%s has another primary key than (user_id, id)', name), :author
FROM owned
WHERE NOT EXISTS (SELECT FROM key WHERE key.oid = owned.oid AND contype = 'p' AND columns = ARRAY['user_id', 'id'])
UNION ALL
SELECT format('the foreign key %I of %s can point at another user''s row of %s', conname, name, target), :author
FROM key
WHERE contype = 'f' AND target IS NOT NULL
    AND (array_position(columns, 'user_id') = array_position(target_columns, 'user_id')) IS NOT TRUE
UNION ALL
SELECT format('the foreign key %I of %s was never validated', conname, name),
    format('run ALTER TABLE %s VALIDATE CONSTRAINT %I', name, conname)
FROM key
WHERE contype = 'f' AND NOT convalidated
UNION ALL
SELECT format('%s is unique over all users, which tells one what another has', i.indexrelid::regclass), :author
FROM owned
JOIN pg_catalog.pg_index AS i ON i.indrelid = owned.oid
WHERE (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary AND NOT EXISTS (
    -- What INCLUDE adds to an index is no part of its key, and an exclusion may compare owners otherwise than by =.
    SELECT FROM pg_catalog.pg_attribute AS a
    JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place) ON k.number = a.attnum AND place <= i.indnkeyatts
    LEFT JOIN pg_catalog.pg_constraint AS c ON c.conindid = i.indexrelid AND c.contype = 'x'
    WHERE a.attrelid = owned.oid AND a.attname = 'user_id'
        AND (c.oid IS NULL OR c.conexclop[place] = 'pg_catalog.=(uuid,uuid)'::regoperator)
)
UNION ALL
SELECT format('the column user_id of %s is not a uuid that every row has', owned.name), :author
FROM owned
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = owned.oid AND a.attname = 'user_id' AND a.attnotnull AND a.atttypid = 'uuid'::regtype
)
