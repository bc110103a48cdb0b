"""Decisions about policies, one row each."""

import django.core.validators
import django.db.models.deletion
import kaireon.lib.ids
import kaireon.tenancy.context
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0005_dispositions"),
        ("tenancy", "0002_walls"),
    ]

    operations = [
        migrations.CreateModel(
            name="PolicyVersion",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("data_class", models.CharField(max_length=32)),
                ("number", models.PositiveIntegerField()),
                (
                    "retention_days",
                    models.PositiveIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(36500),
                        ]
                    ),
                ),
                ("anchor", models.CharField(default="clock", max_length=32)),
                (
                    "mode",
                    models.CharField(
                        choices=[("normal", "Normal"), ("governance", "Governance"), ("compliance", "Compliance")],
                        default="normal",
                        max_length=16,
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=500)),
                (
                    "approval_id",
                    models.UUIDField(blank=True, help_text="The request that a second person agreed to.", null=True),
                ),
                ("decided_by", models.CharField(default="", max_length=64)),
                ("created_at", models.DateTimeField()),
                ("effective_from", models.DateTimeField()),
                (
                    "policy",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="versions",
                        to="compliance.retentionpolicy",
                    ),
                ),
                (
                    "replaces",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        help_text="What counted when this was decided, and counts until it takes effect.",
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="compliance.policyversion",
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
                "verbose_name": "version of a policy",
                "verbose_name_plural": "versions of policies",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "policy", "number"), name="policy_version_once"),
                    models.UniqueConstraint(fields=("tenant", "approval_id"), name="policy_version_by_approval"),
                    models.CheckConstraint(
                        condition=models.Q(("retention_days__gte", 1), ("retention_days__lte", 36500)),
                        name="version_days_in_range",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("mode__in", ["normal", "governance", "compliance"])),
                        name="version_mode_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("effective_from__gte", models.F("created_at"))),
                        name="version_not_in_the_past",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="retentionpolicy",
            name="mode",
            field=models.CharField(
                choices=[("normal", "Normal"), ("governance", "Governance"), ("compliance", "Compliance")],
                default="normal",
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="retentionpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(("mode__in", ["normal", "governance", "compliance"])), name="policy_mode_known"
            ),
        ),
    ]
