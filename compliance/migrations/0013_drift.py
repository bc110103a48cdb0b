"""Where tenants differ from what is declared."""

import django.db.models.deletion
import kaireon.lib.ids
import kaireon.tenancy.context
from django.db import migrations, models

from audit.capture.triggers import captured
from kaireon.tenancy.rls import tenant_table


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0002_walls"),
        ("compliance", "0012_engagement"),
        ("tenancy", "0003_working_days"),
    ]

    operations = [
        migrations.CreateModel(
            name="Drift",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("kind", models.CharField(max_length=32)),
                ("name", models.CharField(max_length=200)),
                (
                    "what",
                    models.CharField(
                        choices=[("changed", "Changed"), ("missing", "Missing"), ("undeclared", "Not declared")],
                        max_length=16,
                    ),
                ),
                (
                    "fields",
                    models.JSONField(
                        default=dict,
                        help_text="By field: what is declared, and what is there.",
                        verbose_name="difference",
                    ),
                ),
                ("first_seen_at", models.DateTimeField(verbose_name="found")),
                ("last_seen_at", models.DateTimeField(verbose_name="last seen")),
                ("resolved_at", models.DateTimeField(blank=True, null=True, verbose_name="gone")),
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
                "verbose_name": "difference from what is declared",
                "verbose_name_plural": "differences from what is declared",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["tenant", "first_seen_at"], name="drift_by_time")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("resolved_at", None)),
                        fields=("tenant", "kind", "name"),
                        name="drift_open_once",
                    )
                ],
            },
        ),
        tenant_table("compliance_drift", "SELECT, INSERT, UPDATE"),
        captured("compliance_drift", "Drift", ignore=["last_seen_at"]),
    ]
