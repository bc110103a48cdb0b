"""Runs of the verifier: how far each came and what it found, for its tenant to see and for the next one to go on from."""

import django.db.models.deletion
from django.db import migrations, models

import kaireon.lib.ids
import kaireon.tenancy.context
from kaireon.tenancy.rls import resolver_function


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_tree")]

    operations = [
        migrations.CreateModel(
            name="VerificationRun",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "kind",
                    models.TextField(
                        choices=[("full", "The whole log"), ("since_last", "What came since the last verified point")]
                    ),
                ),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("running", "Not finished"),
                            ("intact", "Intact"),
                            ("broken", "Broken"),
                            ("abandoned", "Abandoned"),
                        ],
                        default="running",
                    ),
                ),
                ("asked_by", models.TextField()),
                ("started_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                ("first_seq", models.BigIntegerField(default=1)),
                ("until_seq", models.BigIntegerField(default=0)),
                ("reached_seq", models.BigIntegerField(default=0)),
                ("total", models.BigIntegerField(default=0)),
                ("scanned", models.BigIntegerField(default=0)),
                ("verified", models.BigIntegerField(default=0)),
                ("broken_reason", models.TextField(null=True)),
                ("broken_at_seq", models.BigIntegerField(null=True)),
                ("broken_at_id", models.TextField(null=True)),
                ("checkpoint_size", models.BigIntegerField(default=0)),
                ("checkpoint_note", models.TextField(default="")),
                ("point_sealed", models.BinaryField(null=True)),
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
                "db_table": "audit_verificationrun",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["tenant", "-started_at"], name="audit_runs_newest")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "running")), fields=("tenant",), name="audit_run_at_a_time"
                    )
                ],
            },
        ),
        migrations.RunSQL(
            "SELECT public.secure_one_table('public.audit_verificationrun', 'tenant_id',"
            " 'SELECT, INSERT, UPDATE, DELETE', true)",
            "",
        ),
        resolver_function(
            "gauge_verifications()",
            "TABLE (tenant text, intact boolean, finished timestamptz, unread bigint)",
            # What the newest finished run of each log found, and how many records came after it.
            """
            SELECT h.tenant_id, v.state = 'intact', v.finished_at, h.seq - v.reached_seq
              FROM public.audit_head h CROSS JOIN LATERAL (
                SELECT r.state, r.finished_at, r.reached_seq FROM public.audit_verificationrun r
                 WHERE r.tenant_id = h.tenant_id AND r.state IN ('intact', 'broken')
                 ORDER BY r.started_at DESC LIMIT 1) v
            """,
        ),
    ]
