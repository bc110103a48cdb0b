"""The public page: whether a tenant has one, what came in there before its code came back, links to follow by."""

import django.db.models.deletion
import kaireon.lib.ids
import kaireon.tenancy.context
from django.db import migrations, models

from audit.capture.triggers import captured
from compliance.holding.guards import guarded
from kaireon.tenancy.rls import tenant_reference, tenant_table


class Migration(migrations.Migration):
    dependencies = [
        ("dsar", "0013_letters"),
        ("tenancy", "0003_working_days"),
    ]

    operations = [
        migrations.CreateModel(
            name="FollowLink",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("code_hash", models.CharField(blank=True, default="", editable=False, max_length=80)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, help_text="Of the code sent last.", null=True)),
                ("codes_sent", models.PositiveSmallIntegerField(default=0)),
                ("wrong_codes", models.PositiveSmallIntegerField(default=0)),
                ("token_hash", models.CharField(editable=False, max_length=64)),
                ("made_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
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
                "indexes": [models.Index(fields=["tenant", "ends_at"], name="follow_link_by_end")],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "request"), name="follow_link_once"),
                    models.UniqueConstraint(fields=("tenant", "token_hash"), name="follow_link_by_token"),
                ],
            },
        ),
        migrations.CreateModel(
            name="PublicFiling",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("code_hash", models.CharField(blank=True, default="", editable=False, max_length=80)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, help_text="Of the code sent last.", null=True)),
                ("codes_sent", models.PositiveSmallIntegerField(default=0)),
                ("wrong_codes", models.PositiveSmallIntegerField(default=0)),
                ("handle_hash", models.CharField(editable=False, max_length=64)),
                (
                    "request_type",
                    models.CharField(
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
                ("regulation", models.CharField(max_length=16)),
                ("sealed", models.BinaryField()),
                ("subject_ref", models.UUIDField(blank=True, editable=False, null=True)),
                ("received_at", models.DateTimeField()),
                ("codes_asked", models.PositiveSmallIntegerField(default=1)),
                ("ends_at", models.DateTimeField(help_text="Nothing comes of it any more from here on.")),
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
                "indexes": [
                    models.Index(fields=["tenant", "subject_ref"], name="public_filing_by_subject"),
                    models.Index(fields=["tenant", "ends_at"], name="public_filing_by_end"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "handle_hash"), name="public_filing_by_handle")
                ],
            },
        ),
        migrations.CreateModel(
            name="PublicPage",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "contact",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="How else to reach you about personal data. Shown to all.",
                        max_length=500,
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
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant",), name="public_page_once")],
            },
        ),
        tenant_table("dsar_publicpage"),
        tenant_table("dsar_publicfiling"),
        tenant_table("dsar_followlink"),
        tenant_reference("dsar_followlink", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured("dsar_publicpage", "PublicPage"),
        captured("dsar_publicfiling", "PublicFiling", secret=["sealed", "handle_hash", "code_hash"]),
        captured("dsar_followlink", "FollowLink", secret=["token_hash", "code_hash"]),
        guarded("dsar_publicfiling", "dsar"),
    ]
