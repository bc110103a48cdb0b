-- The walls of what is known of restores. What was acknowledged stays; what was compared is of no tenant.

SELECT public.secure_one_table('public.audit_restore', 'tenant_id', 'SELECT, INSERT', true);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_restore
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();

-- What tells this database from any other, and from itself before a restart, a failover or a restore.
CREATE FUNCTION public.audit_fingerprint() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat_ws('/', (pg_control_system()).system_identifier, (pg_control_checkpoint()).timeline_id,
                     extract(epoch FROM pg_postmaster_start_time()),
                     (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()),
                     'public.audit_head'::regclass::oid, pg_relation_filenode('public.audit_head'::regclass))
$$;
