-- What the roles of roles.sql may do in this database. Run in each database of Kaireon, as a superuser; repeatable.
-- Grants on tables come with the migrations: this file only opens and closes the doors around them.

DO $$
BEGIN
    -- A temporary table named like one of ours would take its place in a careless function.
    EXECUTE pg_catalog.format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', pg_catalog.current_database());
    EXECUTE pg_catalog.format(
        'GRANT CONNECT ON DATABASE %I TO kaireon_owner, kaireon_app, kaireon_sequencer, kaireon_backup',
        pg_catalog.current_database()
    );
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO kaireon_app, kaireon_sequencer, kaireon_backup;
-- Owning a function takes CREATE on its schema.
GRANT USAGE, CREATE ON SCHEMA public TO kaireon_owner, kaireon_resolver, kaireon_capture, kaireon_pruner;

-- Every tenant's sessions run as kaireon_app, and a role sees the statements of its own sessions, values included.
REVOKE EXECUTE ON FUNCTION pg_catalog.pg_stat_get_activity(integer), pg_catalog.pg_stat_get_backend_activity(integer)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_get_activity(integer), pg_catalog.pg_stat_get_backend_activity(integer)
    TO pg_read_all_stats;
-- Large objects know no tenant: nobody makes any.
REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid),
    pg_catalog.lo_from_bytea(oid, bytea) FROM PUBLIC;
