"""Row-level security, audit and the guard of legal hold for requests and packages."""

from django.db import migrations

from audit.capture import captured
from compliance.guards import guarded, guarded_contents
from kaireon.tenancy.rls import tenant_reference, tenant_table


class Migration(migrations.Migration):
    dependencies = [("dsar", "0001_initial"), ("compliance", "0002_walls"), ("audit", "0002_walls")]

    operations = [
        tenant_table("dsar_dsarrequest"),
        tenant_table("dsar_dossier"),
        tenant_reference("dsar_dossier", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured(
            "dsar_dsarrequest",
            "DsarRequest",
            personal=["subject_sealed", "subject_key", "pseudonym"],
            ignore=["job_ref"],
        ),
        captured("dsar_dossier", "Dossier", secret=["sealed"], personal=["sha256"], exact=["size"]),
        guarded("dsar_dsarrequest", "dsar"),
        guarded("dsar_dossier", "dsar"),
        guarded_contents("dsar_dsarrequest", "dsar", emptied=["subject_sealed"]),
    ]
