-- What stays is read anew when the epoch has moved, and only then: so whatever may keep a row longer moves it, the
-- policies and the laws beside the holds.

-- Takes the epoch as hold_check does, and says which it is.
CREATE FUNCTION public.hold_epoch() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant text := public.current_tenant();
    found_epoch bigint;
BEGIN
    SELECT e.epoch INTO found_epoch FROM public.compliance_holdepoch e WHERE e.tenant_id = tenant FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenant % has no hold epoch: nothing guarded is deleted without one', tenant
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN found_epoch;
END $$;
REVOKE ALL ON FUNCTION public.hold_epoch() FROM PUBLIC;
ALTER FUNCTION public.hold_epoch() OWNER TO kaireon_resolver;

-- After the change of owner, which takes the old owner's own rights along; so the new one grants.
SET LOCAL ROLE kaireon_resolver;
GRANT EXECUTE ON FUNCTION public.hold_epoch() TO kaireon_app, kaireon_owner;
-- Deletions under way take the epoch FOR SHARE: a decision waits for them, and the next one knows of it.
CREATE OR REPLACE FUNCTION public.policy_waits_for_deletions() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.compliance_holdepoch SET epoch = epoch + 1 WHERE tenant_id = public.current_tenant();
END $$;
RESET ROLE;

CREATE TRIGGER law_moves_epoch AFTER INSERT OR UPDATE OR DELETE ON public.compliance_bindinglaw
    FOR EACH ROW EXECUTE FUNCTION public.hold_moves_epoch();
ALTER TABLE public.compliance_bindinglaw ENABLE ALWAYS TRIGGER law_moves_epoch;
