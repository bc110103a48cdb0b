-- The walls of the keys that personal values are sealed under. A subject's key is made by the sequencer, destroyed by
-- the application, and never comes back: not by an update, a deletion or a second row.

ALTER TABLE public.audit_subjectkey
    ADD CONSTRAINT audit_subjectkey_destroyed CHECK ((key_wrapped IS NULL) = (destroyed_at IS NOT NULL));

SELECT public.secure_one_table('public.audit_tenantkey', 'tenant_id', 'SELECT, INSERT', false);
GRANT UPDATE (key_sealed, retired_at) ON public.audit_tenantkey TO kaireon_app;
CREATE POLICY sequencer ON public.audit_tenantkey TO kaireon_sequencer USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON public.audit_tenantkey TO kaireon_sequencer;

SELECT public.secure_one_table('public.audit_subjectkey', 'tenant_id', 'SELECT, INSERT', false);
GRANT UPDATE (key_version, key_wrapped, destroyed_at) ON public.audit_subjectkey TO kaireon_app;
CREATE POLICY sequencer ON public.audit_subjectkey TO kaireon_sequencer USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON public.audit_subjectkey TO kaireon_sequencer;

-- Whoever is not the sequencer only writes down that a subject's key shall never be made.
CREATE FUNCTION public.audit_subject_key_made() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.key_wrapped IS NULL OR current_user = 'kaireon_sequencer' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a subject''s key is made by the sequencer' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION public.audit_subject_key_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF OLD.destroyed_at IS NOT NULL THEN
        RAISE EXCEPTION 'a destroyed key never comes back' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF (NEW.id, NEW.tenant_id, NEW.subject_id, NEW.created_at)
       IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.subject_id, OLD.created_at) THEN
        RAISE EXCEPTION 'a key stays its subject''s' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.key_wrapped IS NOT NULL AND NEW.key_version <= OLD.key_version THEN
        RAISE EXCEPTION 'a key is wrapped anew under a newer key of its tenant only'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

-- Destroying a key is an event of the log, whoever does it. Runs as kaireon_capture, which inserts into the inbox.
CREATE FUNCTION public.audit_subject_key_destroyed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.audit_write(NEW.tenant_id, 'E', 'subject_key.destroy', 'SubjectKey', NEW.subject_id, NULL,
        jsonb_build_object('keyId', NEW.id, 'sealedValues', TG_OP = 'UPDATE'), NULL, NULL);
    RETURN NULL;
END $$;

CREATE FUNCTION public.audit_key_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'rows of % stay: % is refused for every role', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

REVOKE ALL ON FUNCTION public.audit_subject_key_destroyed() FROM PUBLIC;

CREATE TRIGGER key_made BEFORE INSERT ON public.audit_subjectkey
    FOR EACH ROW EXECUTE FUNCTION public.audit_subject_key_made();
CREATE TRIGGER key_changed BEFORE UPDATE ON public.audit_subjectkey
    FOR EACH ROW EXECUTE FUNCTION public.audit_subject_key_changed();
CREATE TRIGGER key_never_made AFTER INSERT ON public.audit_subjectkey
    FOR EACH ROW WHEN (NEW.destroyed_at IS NOT NULL) EXECUTE FUNCTION public.audit_subject_key_destroyed();
CREATE TRIGGER key_destroyed AFTER UPDATE ON public.audit_subjectkey
    FOR EACH ROW WHEN (NEW.destroyed_at IS NOT NULL) EXECUTE FUNCTION public.audit_subject_key_destroyed();
CREATE TRIGGER key_stays BEFORE DELETE OR TRUNCATE ON public.audit_subjectkey
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_key_refuse();
CREATE TRIGGER key_stays BEFORE DELETE ON public.audit_tenantkey
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_key_refuse();

ALTER FUNCTION public.audit_subject_key_destroyed() OWNER TO kaireon_capture;
