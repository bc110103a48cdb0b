"""Requests and answers stay apart by tenant; what was asked for never changes, and nobody answers themselves."""

from django.db import migrations

from kaireon.tenancy.rls import APPEND_ONLY, tenant_reference, tenant_table

FROZEN = """
CREATE FUNCTION public.approvals_frozen() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (NEW.id, NEW.tenant_id, NEW.verb, NEW.summary, NEW.digest, NEW.stages, NEW.requested_by, NEW.requested_by_name,
        NEW.requested_by_type, NEW.requested_for, NEW.requested_at, NEW.deadline)
       IS DISTINCT FROM
       (OLD.id, OLD.tenant_id, OLD.verb, OLD.summary, OLD.digest, OLD.stages, OLD.requested_by, OLD.requested_by_name,
        OLD.requested_by_type, OLD.requested_for, OLD.requested_at, OLD.deadline)
       OR (NEW.payload IS DISTINCT FROM OLD.payload AND (NEW.payload IS NOT NULL OR OLD.state = 'pending'))
    THEN
        RAISE EXCEPTION 'what an approval is asked for never changes' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF OLD.state <> 'pending' AND (NEW.state, NEW.stage, NEW.decided_at, NEW.error)
       IS DISTINCT FROM (OLD.state, OLD.stage, OLD.decided_at, OLD.error) OR NEW.stage < OLD.stage
    THEN
        RAISE EXCEPTION 'a closed approval stays as it is' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_frozen BEFORE UPDATE ON public.approvals_approvalrequest
    FOR EACH ROW EXECUTE FUNCTION public.approvals_frozen();

CREATE FUNCTION public.approvals_not_by_oneself() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM public.approvals_approvalrequest r
      WHERE r.tenant_id = NEW.tenant_id AND r.id = NEW.request_id AND r.state = 'pending'
        AND NEW.member_id NOT IN (r.requested_by, r.requested_for);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nobody answers their own request, nor a closed one' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_not_by_oneself BEFORE INSERT ON public.approvals_approvalvote
    FOR EACH ROW EXECUTE FUNCTION public.approvals_not_by_oneself();
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0001_initial"), ("tenancy", "0002_walls")]

    operations = [
        tenant_table("approvals_approvalrequest", "SELECT, INSERT, UPDATE"),
        tenant_table("approvals_approvalvote", APPEND_ONLY),
        tenant_table("approvals_secondperson", "SELECT, INSERT, DELETE"),
        tenant_reference("approvals_approvalvote", "request_id", "approvals_approvalrequest"),
        migrations.RunSQL(FROZEN, ""),
    ]
