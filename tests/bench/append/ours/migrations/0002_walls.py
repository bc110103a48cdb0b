"""The same walls for every table; audit of ours for one. The peers' records stand behind no wall of their own."""

from django.db import migrations

from audit.capture.triggers import captured
from kaireon.tenancy.rls import tenant_table

PEERS_TABLES = (
    "auditlog_logentry",
    "ours_historicalsimplehistoryorder",
    "ours_pghistoryorderevent",
    "pghistory_context",
)


class Migration(migrations.Migration):
    dependencies = [
        ("ours", "0001_initial"),
        ("audit", "0002_walls"),
        ("auditlog", "0017_add_actor_email"),
        ("pghistory", "0007_auto_20250421_0444"),
    ]

    operations = [
        *(
            tenant_table(f"bench_{name}order")
            for name in ("", "unaudited_", "auditlog_", "simple_history_", "pghistory_")
        ),
        captured(
            "bench_order",
            "Order",
            # Sealed by the sequencer, under the key of one of a thousand customers.
            personal=["contact_email"],
            subject="customer_ref",
            exact=["amount"],
            name="reference",
        ),
        migrations.RunSQL(
            f"GRANT SELECT, INSERT, UPDATE ON {', '.join(PEERS_TABLES)} TO kaireon_app;"
            " GRANT SELECT ON django_content_type TO kaireon_app;"
            " GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO kaireon_app",
            "",
        ),
    ]
