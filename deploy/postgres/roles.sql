-- The database roles of Kaireon. Run once per server, as a superuser; running it again repairs what drifted.
--
-- No passwords here: a role without one cannot log in over the network. Set them with \password, or let
-- `make run` and the test suite do it (kaireon/local/databases.py). Then run grants.sql in the database itself.
--
--   kaireon_owner      owns every table and function, runs the migrations; bound by row-level security like everybody
--   kaireon_app        what the product runs as: owns nothing, creates nothing
--   kaireon_sequencer  moves audit records from the inbox to the log, through policies of its own
--   kaireon_resolver   nobody logs in as it; owns the functions that find a tenant for a key or a user
--   kaireon_capture    nobody logs in as it; owns the functions that write captured changes to the inbox
--   kaireon_pruner     nobody logs in as it; owns the function that removes whole sealed prefixes of the audit log
--   kaireon_backup     reads everything, across tenants, and writes nothing
--
-- Works on PostgreSQL 15 to 18.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'kaireon_owner', 'kaireon_app', 'kaireon_sequencer', 'kaireon_resolver', 'kaireon_capture', 'kaireon_pruner',
        'kaireon_backup'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I', wanted);
        END IF;
    END LOOP;
END
$$;

ALTER ROLE kaireon_owner     LOGIN   NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE kaireon_app       LOGIN   NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE kaireon_sequencer LOGIN   NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE kaireon_resolver  NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE kaireon_capture   NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE kaireon_pruner    NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE kaireon_backup    LOGIN   INHERIT   NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION BYPASSRLS;

-- The owner hands functions over to these three, and must not see through their policies: membership without inheritance.
-- Before PostgreSQL 16 the member's NOINHERIT says that; since 16 each membership says it for itself.
DO $$
DECLARE
    option_clause text := CASE
        WHEN pg_catalog.current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT FALSE, SET TRUE'
        ELSE ''
    END;
BEGIN
    EXECUTE 'GRANT kaireon_resolver TO kaireon_owner' || option_clause;
    EXECUTE 'GRANT kaireon_capture TO kaireon_owner' || option_clause;
    EXECUTE 'GRANT kaireon_pruner TO kaireon_owner' || option_clause;
END
$$;

GRANT pg_read_all_data TO kaireon_backup;
ALTER ROLE kaireon_backup SET default_transaction_read_only = 'on';

-- A request that hangs inside a transaction must not keep its locks.
ALTER ROLE kaireon_app SET idle_in_transaction_session_timeout = '30s';
