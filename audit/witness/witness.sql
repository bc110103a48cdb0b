-- The walls of what witnesses said of our logs, and of what we saw of others'.

SELECT public.secure_one_table('public.audit_cosignature', 'tenant_id', 'SELECT', true);
CREATE POLICY sequencer ON public.audit_cosignature TO kaireon_sequencer USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON public.audit_cosignature TO kaireon_sequencer;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_cosignature
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER sequencer_only BEFORE INSERT ON public.audit_cosignature
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_sequencer_only();

-- A witness that forgot, or went back, would cosign a second history.
CREATE FUNCTION public.audit_witness_goes_on() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.origin = OLD.origin AND (NEW.tree_size > OLD.tree_size
       OR NEW.tree_size = OLD.tree_size AND NEW.root_hash = OLD.root_hash) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit_witnessedlog only goes on: % is at % already', OLD.origin, OLD.tree_size
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER only_goes_on BEFORE UPDATE ON public.audit_witnessedlog
    FOR EACH ROW EXECUTE FUNCTION public.audit_witness_goes_on();
CREATE TRIGGER never_forgets BEFORE DELETE OR TRUNCATE ON public.audit_witnessedlog
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();

-- Which tenants have checkpoints sent to a destination of their own: the gauge asks.
CREATE POLICY resolver ON public.outbox_destination FOR SELECT TO kaireon_resolver USING (true);
GRANT SELECT (tenant_id, name, is_enabled) ON public.outbox_destination TO kaireon_resolver;
