-- Policies are those of the table that a statement names, not of its parent or children.
SELECT format('%s is a partition or child of %s, and a query of either passes the policies of the other by',
        i.inhrelid::regclass, i.inhparent::regclass),
    CASE WHEN p.relkind = 'p'
        THEN format('run ALTER TABLE %s DETACH PARTITION %s', i.inhparent::regclass, i.inhrelid::regclass)
        ELSE format('run ALTER TABLE %s NO INHERIT %s', i.inhrelid::regclass, i.inhparent::regclass)
    END
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
WHERE p.relnamespace = to_regnamespace(:schema) AND p.relname = ANY(:tables)
    OR c.relnamespace = to_regnamespace(:schema) AND c.relname = ANY(:tables)
