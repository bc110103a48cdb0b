"""Further kinds, proof of identity, rejection, duplicates, assignment."""

import django.db.models.deletion
import kaireon.lib.ids
import kaireon.tenancy.context
from django.db import migrations, models

from audit.capture.triggers import captured
from kaireon.tenancy.rls import tenant_reference, tenant_table

REQUESTS = captured(
    "dsar_dsarrequest",
    "DsarRequest",
    subject="customer_ref",
    personal=["subject_sealed", "subject_key", "pseudonym", "notes_sealed"],
    ignore=["job_ref"],
)


class Migration(migrations.Migration):
    dependencies = [
        ("dsar", "0006_certificates"),
        ("tenancy", "0002_walls"),
    ]

    operations = [
        migrations.CreateModel(
            name="Demand",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "what",
                    models.CharField(
                        choices=[
                            ("identity", "Proof of identity before any work"),
                            ("review", "An officer's look at a package before it is handed out"),
                        ],
                        max_length=16,
                    ),
                ),
                ("since", models.DateTimeField()),
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
                "verbose_name": "demand on requests",
                "verbose_name_plural": "demands on requests",
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="IdentityCheck",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "asked",
                    models.CharField(
                        choices=[
                            ("", "-"),
                            ("code", "A code sent to the subject's address"),
                            ("evidence", "Evidence that an officer saw"),
                            ("vouched", "An officer vouches"),
                        ],
                        help_text="The method that was asked for.",
                        max_length=16,
                    ),
                ),
                ("code_hash", models.CharField(blank=True, default="", editable=False, max_length=80)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, help_text="Of the code sent last.", null=True)),
                ("codes_sent", models.PositiveSmallIntegerField(default=0)),
                ("wrong_codes", models.PositiveSmallIntegerField(default=0)),
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
            },
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="article",
            field=models.CharField(blank=True, default="", help_text="Where the law allows that.", max_length=80),
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="assigned_name",
            field=models.CharField(blank=True, default="", max_length=200, verbose_name="assigned to"),
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="assigned_to",
            field=models.CharField(blank=True, default="", editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="duplicate_of",
            field=models.UUIDField(
                blank=True,
                editable=False,
                help_text="The request of the same subject whose answer answers this one.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="ground",
            field=models.CharField(blank=True, default="", help_text="Why it was rejected.", max_length=32),
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="identity_method",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "-"),
                    ("code", "A code sent to the subject's address"),
                    ("evidence", "Evidence that an officer saw"),
                    ("vouched", "An officer vouches"),
                ],
                default="",
                editable=False,
                max_length=16,
                verbose_name="identity",
            ),
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="identity_proved_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="notes_sealed",
            field=models.BinaryField(null=True),
        ),
        migrations.AlterField(
            model_name="dsarrequest",
            name="request_type",
            field=models.CharField(
                choices=[
                    ("export", "Export"),
                    ("delete", "Erasure"),
                    ("portability", "Portability"),
                    ("rectification", "Rectification"),
                    ("restriction", "Restriction of processing"),
                    ("objection", "Objection"),
                    ("opt_out", "Opt-out"),
                    ("grievance", "Grievance"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddIndex(
            model_name="dsarrequest",
            index=models.Index(
                condition=models.Q(("duplicate_of__isnull", False)),
                fields=["tenant", "duplicate_of"],
                name="dsar_by_first",
            ),
        ),
        migrations.AddConstraint(
            model_name="demand",
            constraint=models.UniqueConstraint(fields=("tenant", "what"), name="dsar_demand_once"),
        ),
        migrations.AddConstraint(
            model_name="identitycheck",
            constraint=models.UniqueConstraint(fields=("tenant", "request"), name="identity_check_once"),
        ),
        tenant_table("dsar_demand", "SELECT, INSERT, DELETE"),
        tenant_table("dsar_identitycheck"),
        tenant_reference("dsar_identitycheck", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        tenant_reference("dsar_dsarrequest", "duplicate_of", "dsar_dsarrequest"),
        # Written anew, because it names the columns that are not to be seen.
        migrations.RunSQL(REQUESTS.reverse_sql, ""),
        REQUESTS,
        captured("dsar_demand", "Demand", name="what"),
        captured("dsar_identitycheck", "IdentityCheck", secret=["code_hash"]),
    ]
