"""Row-level security, audit and the guard of legal hold for requests and packages."""

from django.db import migrations

from audit.capture.triggers import captured
from compliance.holding.guards import guarded, guarded_contents
from kaireon.tenancy.rls import tenant_reference, tenant_table

# Without their keys the records of a person are no evidence any more. No hold is placed on the platform's own log.
KEEP_KEYS = """
CREATE TRIGGER hold_contents BEFORE UPDATE ON public.audit_subjectkey FOR EACH ROW
    WHEN (OLD.tenant_id <> '_platform' AND OLD.key_wrapped IS NOT NULL AND NEW.key_wrapped IS NULL)
    EXECUTE FUNCTION public.hold_keeps_contents('audit', 'subjectKey', '', 'subject_id', '');
ALTER TABLE public.audit_subjectkey ENABLE ALWAYS TRIGGER hold_contents;
"""


class Migration(migrations.Migration):
    dependencies = [("dsar", "0001_initial"), ("compliance", "0002_walls"), ("audit", "0002_walls")]

    operations = [
        tenant_table("dsar_dsarrequest"),
        tenant_table("dsar_dossier"),
        tenant_reference("dsar_dossier", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured(
            "dsar_dsarrequest",
            "DsarRequest",
            subject="customer_ref",
            personal=["subject_sealed", "subject_key", "pseudonym"],
            ignore=["job_ref"],
        ),
        captured(
            "dsar_dossier",
            "Dossier",
            subject="customer_ref",
            secret=["sealed"],
            personal=["sha256"],
            exact=["size"],
        ),
        guarded("dsar_dsarrequest", "dsar"),
        guarded("dsar_dossier", "dsar"),
        guarded_contents("dsar_dsarrequest", "dsar", emptied=["subject_sealed"]),
        migrations.RunSQL(KEEP_KEYS, "DROP TRIGGER hold_contents ON public.audit_subjectkey"),
    ]
