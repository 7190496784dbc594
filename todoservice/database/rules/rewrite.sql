-- A rewrite rule turns the statement that was proven into another.
SELECT format('%s has the rewrite rule %I, which turns a statement into another', c.oid::regclass, r.rulename),
    format('run DROP RULE %I ON %s', r.rulename, c.oid::regclass)
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
WHERE c.relnamespace = to_regnamespace(:schema) AND c.relname = ANY(:tables) AND r.rulename <> '_RETURN'
