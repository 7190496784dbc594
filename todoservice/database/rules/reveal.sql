-- A column or constraint that depends on more than its row can show one user what others do.
WITH RECURSIVE written AS (
    SELECT oid, oid::regclass AS name FROM pg_catalog.pg_class
    WHERE relnamespace = to_regnamespace(:schema) AND relname = ANY(:written)
), type AS (
    SELECT a.attrelid AS relation, a.atttypid AS oid
    FROM pg_catalog.pg_attribute AS a WHERE a.attrelid IN (SELECT oid FROM written) AND a.attnum > 0
    UNION
    SELECT type.relation, part.oid
    FROM type
    JOIN pg_catalog.pg_type AS t USING (oid)
    CROSS JOIN LATERAL (VALUES (t.typbasetype), (CASE WHEN t.typcategory = 'A' THEN t.typelem END)) AS part (oid)
    WHERE part.oid <> 0
), expression AS (
    SELECT format('the default of %I of %s', a.attname, name) AS place, d.adbin::text AS tree
    FROM written
    JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = written.oid
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    UNION ALL
    SELECT format('the constraint %I of %s', c.conname, name), c.conbin::text
    FROM written JOIN pg_catalog.pg_constraint AS c ON c.conrelid = written.oid
    UNION ALL
    SELECT format('the index %s', i.indexrelid::regclass), concat(i.indexprs::text, i.indpred::text)
    FROM written JOIN pg_catalog.pg_index AS i ON i.indrelid = written.oid
    UNION ALL
    SELECT format('the trigger %I of %s', t.tgname, name), t.tgqual::text
    FROM written JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = written.oid
    UNION ALL
    SELECT format('the type %s of a column of %s', t.oid::regtype, type.relation::regclass),
        concat(t.typdefaultbin::text, (
            SELECT string_agg(c.conbin::text, '') FROM pg_catalog.pg_constraint AS c WHERE c.contypid = t.oid))
    FROM type JOIN pg_catalog.pg_type AS t USING (oid)
)
SELECT format('the column %I of %s is an identity, which reveals how many rows other users add', a.attname, name), :author
FROM written JOIN pg_catalog.pg_attribute AS a ON a.attrelid = written.oid AND a.attidentity <> '' AND NOT a.attisdropped
UNION
SELECT format('%s calls %s, which could reveal what other users do', place, f.oid::regprocedure),
    format('%s, or allow %s in TODOSERVICE_ALLOWED_FUNCTIONS', :author, f.proname)
FROM expression
CROSS JOIN LATERAL regexp_matches(tree, 'funcid ([0-9]+)', 'g') AS call
JOIN pg_catalog.pg_proc AS f ON f.oid = call[1]::oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
WHERE lower(f.proname) <> ALL(:functions) AND lower(format('%s.%s', n.nspname, f.proname)) <> ALL(:functions)
    AND NOT (f.provolatile = 'i' AND (f.oid < 16384 OR EXISTS (SELECT FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e')))
    -- Of PostgreSQL's others, these depend on their arguments, the clock, chance, or a setting.
    AND NOT (f.oid < 16384 AND (
        f.oid IN (SELECT castfunc FROM pg_catalog.pg_cast WHERE oid < 16384
            UNION SELECT oprcode FROM pg_catalog.pg_operator WHERE oid < 16384)
        OR f.proname IN (
            'age', 'array_sample', 'array_shuffle', 'array_to_json', 'array_to_string', 'clock_timestamp', 'concat',
            'concat_ws', 'convert_from', 'convert_to', 'date_add', 'date_part', 'date_subtract', 'date_trunc',
            'enum_first', 'enum_last', 'enum_range', 'extract', 'format', 'gen_random_uuid', 'json_build_array',
            'json_build_object', 'jsonb_build_array', 'jsonb_build_object', 'length', 'make_timestamptz', 'now',
            'phraseto_tsquery', 'plainto_tsquery', 'quote_literal', 'quote_nullable', 'random', 'row_to_json',
            'statement_timestamp', 'timezone', 'to_char', 'to_date', 'to_json', 'to_jsonb', 'to_number', 'to_timestamp',
            'to_tsquery', 'to_tsvector', 'transaction_timestamp', 'ts_headline', 'uuidv4', 'uuidv7',
            'websearch_to_tsquery'
        )
    ))
