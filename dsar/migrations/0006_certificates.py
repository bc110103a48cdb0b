"""Certificates of erasures: written once, and refused every change."""

import django.db.models.deletion
from django.db import migrations, models

import kaireon.lib.ids
import kaireon.tenancy.context
from audit.capture.triggers import captured
from kaireon.tenancy.rls import tenant_reference, tenant_table

APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.dsar_certificate
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("dsar", "0005_erasing"), ("tenancy", "0002_walls"), ("audit", "0005_tree")]

    operations = [
        migrations.CreateModel(
            name="Certificate",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "content",
                    models.BinaryField(editable=False, help_text="Canonical JSON; docs/evidence.md has its form."),
                ),
                ("sha256", models.CharField(help_text="Of the content.", max_length=64)),
                ("key_id", models.CharField(help_text="Of the log's key that signed it.", max_length=8)),
                ("tree_size", models.BigIntegerField(help_text="Records under the checkpoint in it.")),
                ("issued_at", models.DateTimeField()),
                (
                    "request",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="dsar.dsarrequest",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        default=kaireon.tenancy.context.tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant", "request"), name="certificate_once")],
            },
        ),
        tenant_table("dsar_certificate", "SELECT, INSERT"),
        tenant_reference("dsar_certificate", "request_id", "dsar_dsarrequest"),
        captured("dsar_certificate", "Certificate", secret=["content"], exact=["tree_size"]),
        migrations.RunSQL(APPEND_ONLY, "DROP TRIGGER append_only ON public.dsar_certificate"),
    ]
