"""By what names an erasure looks for its person where no reference leads to them."""

import django.db.models.deletion
from django.db import migrations, models

import kaireon.lib.ids
import kaireon.tenancy.context
from audit.capture.triggers import captured
from kaireon.tenancy.rls import tenant_reference, tenant_table


class Migration(migrations.Migration):
    dependencies = [("dsar", "0011_journal"), ("tenancy", "0002_walls")]

    operations = [
        migrations.CreateModel(
            name="ErasureSearch",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("names_sealed", models.BinaryField(null=True)),
                ("refs", models.JSONField(blank=True, default=list, help_text="Our own ids of them.")),
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
                "verbose_name": "search of an erasure",
                "verbose_name_plural": "searches of erasures",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant", "request"), name="erasure_search_once")],
            },
        ),
        tenant_table("dsar_erasuresearch"),
        tenant_reference("dsar_erasuresearch", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured("dsar_erasuresearch", "ErasureSearch", secret=["names_sealed"]),
    ]
