"""Exports as files, what witnesses signed, and what the gauges ask of checkpoints."""

from pathlib import Path

import django.db.models.deletion
import kaireon.lib.ids
import kaireon.tenancy.context
from django.db import migrations, models

from audit.capture.triggers import captured
from kaireon.tenancy.rls import global_table, resolver_function, tenant_table

WITNESS = (Path(__file__).resolve().parent.parent / "witness" / "witness.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_verification_runs"), ("outbox", "0002_walls"), ("tenancy", "0002_walls")]

    operations = [
        migrations.CreateModel(
            name="AuditExport",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("format", models.CharField(max_length=8)),
                ("since", models.DateTimeField(blank=True, null=True)),
                ("until", models.DateTimeField(blank=True, null=True)),
                ("entity_type", models.TextField(blank=True, default="")),
                ("action", models.TextField(blank=True, default="")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("processing", "Processing"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=16,
                    ),
                ),
                ("requested_by", models.TextField(blank=True, default="")),
                ("requested_by_name", models.TextField()),
                ("first_seq", models.BigIntegerField(blank=True, null=True)),
                ("last_seq", models.BigIntegerField(blank=True, null=True)),
                ("records", models.BigIntegerField(blank=True, null=True)),
                ("size", models.BigIntegerField(blank=True, help_text="Of the file, in bytes.", null=True)),
                ("sha256", models.CharField(blank=True, default="", max_length=64)),
                ("manifest", models.JSONField(blank=True, null=True)),
                ("object_name", models.CharField(blank=True, editable=False, max_length=300, null=True)),
                ("error", models.CharField(blank=True, default="", help_text="Reason code.", max_length=64)),
                ("job_ref", models.UUIDField(blank=True, editable=False, null=True)),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
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
                "verbose_name": "audit export",
                "db_table": "audit_export",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["tenant", "-created_at"], name="audit_export_newest")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["queued", "processing", "completed", "failed"])),
                        name="audit_export_status_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("object_name", None), ("status", "completed"), _connector="OR"),
                        name="audit_export_file_means_completed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Cosignature",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "tree_size",
                        "witness",
                        "key_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("tenant_id", models.TextField()),
                ("tree_size", models.BigIntegerField()),
                ("witness", models.TextField()),
                ("key_id", models.CharField(max_length=8)),
                ("public_key", models.BinaryField()),
                ("line", models.TextField()),
                ("cosigned_at", models.DateTimeField()),
            ],
            options={"db_table": "audit_cosignature"},
        ),
        migrations.CreateModel(
            name="WitnessedLog",
            fields=[
                ("origin", models.TextField(primary_key=True, serialize=False)),
                ("tree_size", models.BigIntegerField()),
                ("root_hash", models.CharField(max_length=64)),
                ("note", models.TextField()),
                ("cosigned_at", models.DateTimeField()),
            ],
            options={"db_table": "audit_witnessedlog"},
        ),
        tenant_table("audit_export", "SELECT, INSERT, UPDATE"),
        captured(
            "audit_export",
            "AuditExport",
            ignore=["status", "manifest", "object_name", "job_ref"],
            exact=["first_seq", "last_seq", "records", "size"],
        ),
        global_table("audit_witnessedlog", "SELECT, INSERT, UPDATE"),
        migrations.RunSQL(WITNESS, ""),
        resolver_function(
            "gauge_checkpoints(channels text[], witnesses text[])",
            "TABLE (committed timestamptz, unpublished bigint, since timestamptz, unwitnessed bigint,"
            " unseen timestamptz)",
            # Of the logs that grew since, the one whose checkpoint is oldest; of the newest checkpoints, those that did
            # not leave by each of the channels yet, and those that not each of the witnesses has signed.
            """
            SELECT min(c.signed_at) FILTER (WHERE h.seq > c.tree_size),
                   count(*) FILTER (WHERE m.unpublished), min(c.signed_at) FILTER (WHERE m.unpublished),
                   count(*) FILTER (WHERE m.unwitnessed), min(c.signed_at) FILTER (WHERE m.unwitnessed)
              FROM public.audit_head h
              LEFT JOIN LATERAL (SELECT n.tree_size, n.signed_at FROM public.audit_checkpoint n
                                  WHERE n.tenant_id = h.tenant_id ORDER BY n.tree_size DESC LIMIT 1) c ON true
              LEFT JOIN LATERAL (
                SELECT c.tree_size IS NOT NULL AND EXISTS (
                         SELECT FROM unnest(channels || ARRAY(
                                  SELECT 'destination'::text FROM public.outbox_destination d
                                   WHERE d.tenant_id = h.tenant_id AND d.name = 'audit-checkpoints' AND d.is_enabled)) ch
                          WHERE NOT EXISTS (SELECT FROM public.audit_publication p
                                             WHERE p.tenant_id = h.tenant_id AND p.tree_size = c.tree_size
                                               AND p.channel = ch)) AS unpublished,
                       c.tree_size IS NOT NULL AND EXISTS (
                         SELECT FROM unnest(witnesses) w
                          WHERE NOT EXISTS (SELECT FROM public.audit_cosignature s
                                             WHERE s.tenant_id = h.tenant_id AND s.tree_size = c.tree_size
                                               AND s.key_id = w)) AS unwitnessed
              ) m ON true
            """,
        ),
    ]
