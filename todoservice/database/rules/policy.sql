-- Permissive policies open a table together; only the floor then keeps it closed.
SELECT format('%s has the policy %I, which is not the host''s%s', c.oid::regclass, p.polname,
        CASE WHEN p.polpermissive THEN ' and opens it but for the floor' END),
    format('run DROP POLICY %I ON %s', p.polname, c.oid::regclass)
FROM pg_catalog.pg_policy AS p
JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
WHERE c.relnamespace = to_regnamespace(:schema) AND c.relname = ANY(:tables) AND p.polname NOT IN ('owner', 'owner_floor')
