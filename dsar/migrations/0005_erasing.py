"""Plans of erasures: whose rows are meant and what becomes of them, said before it is done."""

import django.db.models.deletion
from django.db import migrations, models

import kaireon.lib.ids
import kaireon.tenancy.context
from audit.capture.triggers import captured
from kaireon.tenancy.rls import tenant_reference, tenant_table


class Migration(migrations.Migration):
    dependencies = [("dsar", "0004_states"), ("tenancy", "0002_walls")]

    operations = [
        migrations.CreateModel(
            name="ErasurePlan",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("made_at", models.DateTimeField()),
                (
                    "subject",
                    models.CharField(
                        choices=[
                            ("known", "Known"),
                            ("unknown", "Nobody by this name"),
                            ("ambiguous", "Several people by this name"),
                        ],
                        max_length=16,
                    ),
                ),
                ("refs", models.JSONField(blank=True, default=list, help_text="Our own ids of the person.")),
                (
                    "items",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="By entity, class and action: counts, grounds and dates of what stays.",
                    ),
                ),
                ("digest", models.CharField(max_length=64)),
                (
                    "approval_ref",
                    models.UUIDField(blank=True, help_text="The request for a second person's yes.", null=True),
                ),
                ("approved_by", models.CharField(blank=True, default="", max_length=64)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                (
                    "window_until",
                    models.DateTimeField(blank=True, help_text="Until then it can be cancelled.", null=True),
                ),
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
                "verbose_name": "erasure plan",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(
                        condition=models.Q(("approval_ref__isnull", False)),
                        fields=["tenant", "approval_ref"],
                        name="erasure_plan_by_approval",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "request"), name="erasure_plan_once"),
                    models.CheckConstraint(
                        condition=models.Q(("subject__in", ["known", "unknown", "ambiguous"])),
                        name="erasure_plan_subject_known",
                    ),
                ],
            },
        ),
        tenant_table("dsar_erasureplan"),
        tenant_reference("dsar_erasureplan", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured("dsar_erasureplan", "ErasurePlan"),
    ]
