"""What was disposed of: a table that only counts up."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

import kaireon.lib.ids
import kaireon.tenancy.context
from kaireon.tenancy.rls import tenant_table

GUARDS = (Path(__file__).resolve().parent.parent / "purging" / "dispositions.sql").read_text()
BACK = "DROP FUNCTION public.disposition_grows() CASCADE; DROP FUNCTION public.disposition_stays() CASCADE"


class Migration(migrations.Migration):
    dependencies = [("compliance", "0004_log")]

    operations = [
        migrations.CreateModel(
            name="Disposition",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("run", models.UUIDField(help_text="One purge; that of a plan has the plan's id.")),
                ("plan", models.UUIDField(blank=True, null=True)),
                ("data_class", models.CharField(max_length=32)),
                ("entity", models.CharField(help_text="Wire name, as in the catalogue.", max_length=64)),
                (
                    "method",
                    models.CharField(
                        choices=[
                            ("deleted", "Deleted by the row"),
                            ("dropped", "Dropped with its month"),
                            ("shredded", "Identifiers shredded"),
                            ("pruned", "Moved to the archive, as a sealed prefix"),
                        ],
                        default="deleted",
                        max_length=16,
                    ),
                ),
                ("rows", models.BigIntegerField()),
                ("clock", models.CharField(help_text="The column that the rows aged by.", max_length=64)),
                ("clock_from", models.DateTimeField(help_text="No row that went was older.")),
                ("clock_until", models.DateTimeField(help_text="No row that went was younger.")),
                (
                    "retention_days",
                    models.PositiveIntegerField(blank=True, help_text="None: they ended by themselves.", null=True),
                ),
                ("policy_version", models.PositiveIntegerField(default=0, help_text="0: no policy was needed.")),
                (
                    "policy_class",
                    models.CharField(blank=True, default="", help_text="Whose policy, if another's.", max_length=32),
                ),
                (
                    "law",
                    models.CharField(
                        blank=True, default="", help_text="What kept them longer than the policy.", max_length=500
                    ),
                ),
                ("approved_by", models.CharField(blank=True, default="", max_length=64)),
                ("approved_by_name", models.CharField(blank=True, default="", max_length=200)),
                ("done_by", models.CharField(blank=True, default="", max_length=64)),
                ("done_by_name", models.CharField(blank=True, default="", max_length=200)),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
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
                "indexes": [models.Index(fields=["tenant", "first_at"], name="disposition_by_time")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "run", "data_class", "entity", "method", "policy_class", "policy_version"),
                        name="disposition_once",
                    ),
                    models.CheckConstraint(condition=models.Q(("rows__gt", 0)), name="disposition_of_something"),
                ],
            },
        ),
        tenant_table("compliance_disposition", "SELECT, INSERT, UPDATE (rows, clock_from, clock_until, last_at)"),
        migrations.RunSQL(GUARDS, BACK),
    ]
