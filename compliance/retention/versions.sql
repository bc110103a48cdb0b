-- What a policy's versions may say, whoever writes them. `effective_from` and the days themselves are in constraints.

-- Deletions under way take the tenant's epoch FOR SHARE: a decision waits for them, and the next one knows of it.
CREATE FUNCTION public.policy_waits_for_deletions() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM public.compliance_holdepoch WHERE tenant_id = public.current_tenant() FOR UPDATE;
END $$;

CREATE FUNCTION public.policy_version_rules() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last public.compliance_policyversion;
    counting public.compliance_policyversion;
BEGIN
    PERFORM FROM public.compliance_retentionpolicy p
      WHERE p.tenant_id = NEW.tenant_id AND p.id = NEW.policy_id AND p.data_class = NEW.data_class FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no policy of this class to have a version' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM public.policy_waits_for_deletions();
    SELECT v.* INTO last FROM public.compliance_policyversion v
     WHERE v.tenant_id = NEW.tenant_id AND v.policy_id = NEW.policy_id ORDER BY v.number DESC LIMIT 1;
    IF NEW.number <> coalesce(last.number, 0) + 1 OR NEW.created_at < last.created_at THEN
        RAISE EXCEPTION 'a version follows the one before it, in number and in time' USING ERRCODE = 'check_violation';
    END IF;
    -- One that still waits never counts now.
    counting := last;
    IF last.effective_from > last.created_at AND last.effective_from > NEW.created_at THEN
        SELECT v.* INTO counting FROM public.compliance_policyversion v
         WHERE v.tenant_id = NEW.tenant_id AND v.id = last.replaces_id;
    END IF;
    IF NEW.replaces_id IS DISTINCT FROM counting.id THEN
        RAISE EXCEPTION 'a version replaces the one that counts' USING ERRCODE = 'check_violation';
    END IF;
    -- Counted from something else, rows may go earlier: as a shortening.
    IF counting.mode = 'compliance' AND (NEW.retention_days < counting.retention_days
       OR NEW.anchor <> counting.anchor OR NEW.mode <> 'compliance') THEN
        RAISE EXCEPTION 'a policy in compliance mode is only ever lengthened' USING ERRCODE = 'check_violation';
    END IF;
    IF counting.mode = 'governance' AND (NEW.retention_days < counting.retention_days
       OR NEW.anchor <> counting.anchor OR NEW.mode = 'normal') THEN
        PERFORM FROM public.approvals_approvalrequest a
          WHERE a.tenant_id = NEW.tenant_id AND a.id = NEW.approval_id AND a.verb = 'retention_config.loosen'
            AND a.state = 'approved';
        IF NOT FOUND OR NEW.reason = '' THEN
            RAISE EXCEPTION 'a policy in governance mode is shortened by two people, with a reason'
                USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- BEFORE UPDATE or DELETE of a policy: what everybody reads there does not come to less than its versions say.
CREATE FUNCTION public.policy_row_rules() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    strictness CONSTANT text[] := ARRAY['normal', 'governance', 'compliance'];
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a policy in % mode stays', OLD.mode USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.data_class <> OLD.data_class THEN
        RAISE EXCEPTION 'a policy stays with its class' USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.mode = 'compliance' AND (NEW.retention_days < OLD.retention_days OR NEW.mode <> 'compliance') THEN
        RAISE EXCEPTION 'a policy in compliance mode is only ever lengthened' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.retention_days < OLD.retention_days
       OR array_position(strictness, NEW.mode::text) < array_position(strictness, OLD.mode::text) THEN
        PERFORM FROM (SELECT v.* FROM public.compliance_policyversion v
                       WHERE v.tenant_id = NEW.tenant_id AND v.policy_id = NEW.id ORDER BY v.number DESC LIMIT 1) newest
           LEFT JOIN public.compliance_policyversion r ON r.tenant_id = newest.tenant_id AND r.id = newest.replaces_id
         WHERE (newest.retention_days, newest.mode) = (NEW.retention_days, NEW.mode)
            OR newest.effective_from > newest.created_at
               AND (r.retention_days, r.mode) = (NEW.retention_days, NEW.mode);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no version of this policy says so' USING ERRCODE = 'check_violation',
                HINT = 'A shortening is decided first, as a version with the moment from which it counts.';
        END IF;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER policy_version_rules BEFORE INSERT ON public.compliance_policyversion
    FOR EACH ROW EXECUTE FUNCTION public.policy_version_rules();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.compliance_policyversion
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER policy_row_rules BEFORE UPDATE ON public.compliance_retentionpolicy FOR EACH ROW
    WHEN (OLD.retention_days <> NEW.retention_days OR OLD.mode <> NEW.mode OR OLD.data_class <> NEW.data_class)
    EXECUTE FUNCTION public.policy_row_rules();
CREATE TRIGGER policy_row_stays BEFORE DELETE ON public.compliance_retentionpolicy FOR EACH ROW
    WHEN (OLD.mode <> 'normal') EXECUTE FUNCTION public.policy_row_rules();
ALTER TABLE public.compliance_retentionpolicy ENABLE ALWAYS TRIGGER policy_row_rules;
ALTER TABLE public.compliance_retentionpolicy ENABLE ALWAYS TRIGGER policy_row_stays;

REVOKE ALL ON FUNCTION public.policy_waits_for_deletions() FROM PUBLIC;
ALTER FUNCTION public.policy_waits_for_deletions() OWNER TO kaireon_resolver;
SET LOCAL ROLE kaireon_resolver;
GRANT EXECUTE ON FUNCTION public.policy_waits_for_deletions() TO kaireon_app, kaireon_owner;
RESET ROLE;
