-- The walls of tree and checkpoints: the sequencer writes them, each tenant reads its own, nobody takes anything back.

CREATE FUNCTION public.audit_tile_grows() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (NEW.tenant_id, NEW.level, NEW.index) = (OLD.tenant_id, OLD.level, OLD.index)
       AND length(NEW.hashes) > length(OLD.hashes) AND substr(NEW.hashes, 1, length(OLD.hashes)) = OLD.hashes THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit_tile is append-only: a tile only grows at its end'
        USING ERRCODE = 'insufficient_privilege';
END $$;

ALTER TABLE public.audit_tile
    ADD CONSTRAINT audit_tile_hashes CHECK (length(hashes) % 32 = 0 AND length(hashes) BETWEEN 32 AND 8192);
-- Hashes do not compress.
ALTER TABLE public.audit_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

SELECT public.secure_one_table('public.audit_tile', 'tenant_id', 'SELECT', false);
SELECT public.secure_one_table('public.audit_checkpoint', 'tenant_id', 'SELECT', true);
SELECT public.secure_one_table('public.audit_publication', 'tenant_id', 'SELECT', true);
SELECT public.secure_one_table('public.audit_signingkey', 'tenant_id', 'SELECT, INSERT', false);
GRANT UPDATE (retired_at) ON public.audit_signingkey TO kaireon_app;

CREATE POLICY sequencer ON public.audit_tile TO kaireon_sequencer USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON public.audit_tile TO kaireon_sequencer;
CREATE POLICY sequencer ON public.audit_checkpoint TO kaireon_sequencer USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON public.audit_checkpoint TO kaireon_sequencer;
CREATE POLICY sequencer ON public.audit_publication TO kaireon_sequencer USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON public.audit_publication TO kaireon_sequencer;

CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON public.audit_tile
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER sequencer_only BEFORE INSERT OR UPDATE ON public.audit_tile
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_sequencer_only();
CREATE TRIGGER tile_grows BEFORE UPDATE ON public.audit_tile
    FOR EACH ROW EXECUTE FUNCTION public.audit_tile_grows();

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER sequencer_only BEFORE INSERT ON public.audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_sequencer_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_publication
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER sequencer_only BEFORE INSERT ON public.audit_publication
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_sequencer_only();
