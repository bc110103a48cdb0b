"""Plans of a purge: the application moves where one stands, and never changes what it says."""

import django.db.models.deletion
from django.db import migrations, models

import kaireon.lib.ids
import kaireon.tenancy.context
from audit.capture.triggers import captured
from kaireon.tenancy.rls import tenant_reference, tenant_table

STANDING = "state, approved_by, approved_by_name, approved_at, applied_by, applied_by_name, started_at, finished_at, job_ref, error"


def tenant():
    return (
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
    )


def key():
    return ("id", models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False))


class Migration(migrations.Migration):
    dependencies = [("compliance", "0008_laws")]

    operations = [
        migrations.CreateModel(
            name="PurgePlan",
            fields=[
                key(),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("planned", "Planned"),
                            ("approved", "Approved"),
                            ("applying", "Being applied"),
                            ("applied", "Applied"),
                            ("stopped", "Stopped"),
                        ],
                        default="planned",
                        max_length=16,
                    ),
                ),
                ("swept_by", models.CharField(max_length=32)),
                ("classes", models.JSONField(blank=True, help_text="Asked for; None: all.", null=True)),
                (
                    "as_of",
                    models.DateTimeField(help_text="The moment at which it was made, and from which ages count."),
                ),
                ("epoch", models.BigIntegerField(help_text="The tenant's hold epoch then.")),
                ("digest", models.CharField(max_length=64)),
                ("rows", models.BigIntegerField()),
                (
                    "held",
                    models.JSONField(blank=True, default=list, help_text="Classes left alone because they are held."),
                ),
                (
                    "without_policy",
                    models.JSONField(blank=True, default=list, help_text="Classes kept because nobody said how long."),
                ),
                (
                    "approval_id",
                    models.UUIDField(blank=True, help_text="The request for a second person's yes.", null=True),
                ),
                ("made_by", models.CharField(blank=True, default="", max_length=64)),
                ("made_by_name", models.CharField(blank=True, default="", max_length=200)),
                (
                    "made_for",
                    models.CharField(blank=True, default="", help_text="The person behind an API key.", max_length=64),
                ),
                ("approved_by", models.CharField(blank=True, default="", max_length=64)),
                ("approved_by_name", models.CharField(blank=True, default="", max_length=200)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                ("applied_by", models.CharField(blank=True, default="", max_length=64)),
                ("applied_by_name", models.CharField(blank=True, default="", max_length=200)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("job_ref", models.UUIDField(blank=True, null=True)),
                (
                    "error",
                    models.CharField(
                        blank=True, default="", help_text="Why it stopped, as a reason code.", max_length=64
                    ),
                ),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["tenant", "-as_of"], name="purge_plan_newest")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["planned", "approved", "applying", "applied", "stopped"])),
                        name="purge_plan_state_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(approved_by="")
                        | ~(models.Q(approved_by=models.F("made_by")) | models.Q(approved_by=models.F("made_for"))),
                        name="purge_plan_by_two",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PurgePlanItem",
            fields=[
                key(),
                ("position", models.PositiveIntegerField()),
                ("data_class", models.CharField(max_length=32)),
                ("entity", models.CharField(max_length=64)),
                ("clock", models.CharField(max_length=64)),
                ("before", models.DateTimeField(help_text="Rows whose clock stands before it.")),
                (
                    "floor_before",
                    models.DateTimeField(
                        blank=True, help_text="Their own clock must stand before it too: a law asks for it.", null=True
                    ),
                ),
                ("retention_days", models.PositiveIntegerField(blank=True, null=True)),
                ("policy_version", models.PositiveIntegerField(default=0)),
                (
                    "policy_class",
                    models.CharField(blank=True, default="", help_text="Whose policy, if another's.", max_length=32),
                ),
                ("law", models.CharField(blank=True, default="", max_length=500)),
                ("rows", models.BigIntegerField()),
                ("clock_from", models.DateTimeField()),
                ("clock_until", models.DateTimeField()),
                ("newest", models.UUIDField(help_text="The highest id: rows with a higher one were made later.")),
                (
                    "fingerprint",
                    models.CharField(help_text="Sum of hashes of the ids: other rows have another.", max_length=64),
                ),
                (
                    "held_rows",
                    models.BigIntegerField(
                        default=0, help_text="Past their time too, and kept by a hold with a scope."
                    ),
                ),
                ("held_fingerprint", models.CharField(default="0", max_length=64)),
                ("after_clock", models.DateTimeField(blank=True, null=True)),
                ("after_pk", models.UUIDField(blank=True, null=True)),
                ("deleted", models.BigIntegerField(default=0)),
                ("done", models.BooleanField(default=False)),
                (
                    "plan",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="items",
                        to="compliance.purgeplan",
                    ),
                ),
                tenant(),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "plan", "position"), name="purge_plan_item_once")
                ],
            },
        ),
        tenant_table("compliance_purgeplan", f"SELECT, INSERT, UPDATE ({STANDING})"),
        tenant_table("compliance_purgeplanitem", "SELECT, INSERT, UPDATE (after_clock, after_pk, deleted, done)"),
        tenant_reference("compliance_purgeplanitem", "plan_id", "compliance_purgeplan"),
        captured("compliance_purgeplan", "PurgePlan", exact=["epoch", "rows"]),
    ]
