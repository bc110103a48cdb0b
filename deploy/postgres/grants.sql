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
GRANT USAGE, CREATE ON SCHEMA public TO kaireon_owner, kaireon_resolver, kaireon_capture;
