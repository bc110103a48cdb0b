"""Models of acceptance by offer: schedules, attempts, versions."""

import django.db.models.deletion
import kaireon.lib.clock
import kaireon.lib.ids
import kaireon.tenancy.context
import kaireon.tenancy.fields
from django.db import migrations, models

from audit.capture.triggers import captured
from kaireon.tenancy.rls import tenant_reference, tenant_table

TABLES = ("customers_retrainschedule", "customers_retrainrun", "customers_propensityversion")


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0008_exports_walls"),
        ("tenancy", "0003_working_days"),
        ("audit", "0002_walls"),
    ]

    operations = [
        migrations.CreateModel(
            name="PropensityVersion",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("number", models.PositiveIntegerField(verbose_name="version")),
                ("content", models.BinaryField(help_text="Canonical JSON; docs/models.md has its form.")),
                ("sha256", models.CharField(help_text="Of the content.", max_length=64)),
                ("seal", models.CharField(editable=False, max_length=80)),
                ("as_of", models.DateTimeField(help_text="Who had been erased by then is not in it.")),
                ("erased_then", models.PositiveBigIntegerField(default=0, editable=False)),
                ("trained_at", models.DateTimeField()),
                ("verdict", models.CharField(help_text="Why it was served, or kept as a candidate.", max_length=500)),
                ("train_rows", models.PositiveIntegerField(verbose_name="examples learnt")),
                ("train_positives", models.PositiveIntegerField(verbose_name="acceptances learnt")),
                ("test_rows", models.PositiveIntegerField(verbose_name="later examples")),
                ("test_positives", models.PositiveIntegerField(verbose_name="later acceptances")),
                ("people", models.PositiveIntegerField()),
                (
                    "base_rate",
                    kaireon.tenancy.fields.ExactFloat(help_text="Share of acceptances among the later examples."),
                ),
                ("auc", kaireon.tenancy.fields.ExactFloat(verbose_name="AUC")),
                ("log_loss", kaireon.tenancy.fields.ExactFloat()),
                (
                    "base_log_loss",
                    kaireon.tenancy.fields.ExactFloat(help_text="Of saying the learnt share of everybody."),
                ),
                ("brier", kaireon.tenancy.fields.ExactFloat(verbose_name="Brier score")),
                (
                    "calibration_error",
                    kaireon.tenancy.fields.ExactFloat(
                        help_text="Mean distance of what was said from what came, over bins."
                    ),
                ),
                (
                    "calibration",
                    models.JSONField(default=list, help_text="Bins of later examples: how many, said, came."),
                ),
                ("lineage", models.JSONField(default=dict)),
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
                "verbose_name": "model version",
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="RetrainSchedule",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("offer", models.CharField(max_length=128)),
                ("is_enabled", models.BooleanField(default=True, verbose_name="on")),
                ("every_days", models.PositiveSmallIntegerField(default=7, verbose_name="every (days)")),
                (
                    "window_days",
                    models.PositiveSmallIntegerField(
                        default=365, help_text="Presentations of so many days are learnt."
                    ),
                ),
                (
                    "min_interactions",
                    models.PositiveIntegerField(
                        default=200,
                        help_text="With the offer, since the last attempt.",
                        verbose_name="least new interactions",
                    ),
                ),
                (
                    "min_positives",
                    models.PositiveIntegerField(
                        default=20, help_text="Among what is learnt.", verbose_name="least acceptances"
                    ),
                ),
                (
                    "tolerance",
                    kaireon.tenancy.fields.ExactFloat(
                        default=0.005,
                        help_text="A version is served unless its log loss is so much worse than the served one's.",
                    ),
                ),
                (
                    "keep",
                    models.PositiveSmallIntegerField(
                        default=10, help_text="Beside the served one.", verbose_name="versions kept"
                    ),
                ),
                ("versions", models.PositiveIntegerField(default=0, editable=False)),
                ("served_at", models.DateTimeField(blank=True, null=True, verbose_name="served since")),
                ("served_by_name", models.CharField(blank=True, default="", max_length=200, verbose_name="served by")),
                ("served_reason", models.CharField(blank=True, default="", max_length=500, verbose_name="why")),
                ("attempted_at", models.DateTimeField(blank=True, null=True, verbose_name="last attempt")),
                ("seen_arrival", models.BigIntegerField(default=0, editable=False)),
                ("created_at", models.DateTimeField(default=kaireon.lib.clock.now, editable=False)),
                (
                    "served",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="customers.propensityversion",
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
                "verbose_name": "retrain schedule",
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="RetrainRun",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("slot", models.CharField(max_length=48)),
                ("cause", models.CharField(blank=True, default="", help_text="Why it was due.", max_length=128)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("served", "Trained and served"),
                            ("candidate", "Trained, kept as candidate"),
                            ("not_trained", "Not trained"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=16,
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=500)),
                ("version_number", models.PositiveIntegerField(blank=True, null=True, verbose_name="version")),
                ("job_ref", models.UUIDField(editable=False, null=True)),
                ("queued_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
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
                (
                    "schedule",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="customers.retrainschedule",
                    ),
                ),
            ],
            options={
                "verbose_name": "retrain",
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddField(
            model_name="propensityversion",
            name="schedule",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="customers.retrainschedule",
            ),
        ),
        migrations.AddConstraint(
            model_name="retrainschedule",
            constraint=models.UniqueConstraint(fields=("tenant", "offer"), name="retrain_schedule_once"),
        ),
        migrations.AddConstraint(
            model_name="retrainschedule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("every_days__gte", 1),
                    ("keep__gte", 1),
                    ("min_positives__gte", 1),
                    ("tolerance__gte", 0),
                    ("window_days__gte", 1),
                ),
                name="retrain_schedule_in_bounds",
            ),
        ),
        migrations.AddConstraint(
            model_name="retrainschedule",
            constraint=models.CheckConstraint(
                condition=models.Q(("served", None), ("served_at__isnull", False), _connector="OR"),
                name="retrain_served_since_some_time",
            ),
        ),
        migrations.AddIndex(
            model_name="retrainrun",
            index=models.Index(fields=["tenant", "-queued_at"], name="retrain_newest"),
        ),
        migrations.AddConstraint(
            model_name="retrainrun",
            constraint=models.UniqueConstraint(fields=("tenant", "schedule", "slot"), name="retrain_once_a_slot"),
        ),
        migrations.AddIndex(
            model_name="propensityversion",
            index=models.Index(fields=["tenant", "-trained_at"], name="propensity_newest"),
        ),
        migrations.AddConstraint(
            model_name="propensityversion",
            constraint=models.UniqueConstraint(fields=("tenant", "schedule", "number"), name="propensity_version_once"),
        ),
        *(tenant_table(table) for table in TABLES),
        tenant_reference("customers_propensityversion", "schedule_id", "customers_retrainschedule"),
        tenant_reference("customers_retrainrun", "schedule_id", "customers_retrainschedule"),
        tenant_reference("customers_retrainschedule", "served_id", "customers_propensityversion"),
        captured(
            "customers_retrainschedule",
            "RetrainSchedule",
            # How far was looked moves with every attempt, whose own record says what came of it.
            ignore=["attempted_at", "seen_arrival", "versions"],
            exact=["tolerance"],
        ),
        captured("customers_retrainrun", "RetrainRun"),
        captured(
            "customers_propensityversion",
            "PropensityVersion",
            # The log has the digest of what it says.
            secret=["content", "seal"],
            exact=["erased_then", "base_rate", "auc", "log_loss", "base_log_loss", "brier", "calibration_error"],
        ),
    ]
