"""How far followers of a log are, where it is shipped to, what was confirmed, what was refused."""

from pathlib import Path

import django.db.models.deletion
import kaireon.lib.ids
import kaireon.tenancy.context
from django.db import migrations, models

from audit.capture.triggers import captured
from kaireon.tenancy.rls import resolver_function, tenant_table

SHIPPING = (Path(__file__).resolve().parent.parent / "shipping" / "shipping.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0010_restoring"),
        ("tenancy", "0003_working_days"),
    ]

    operations = [
        migrations.CreateModel(
            name="Cursor",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "follower", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant_id", models.TextField()),
                ("follower", models.CharField(max_length=64)),
                ("seq", models.BigIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("moved_at", models.DateTimeField(null=True)),
                ("caught_up_at", models.DateTimeField(null=True)),
                ("failures", models.PositiveIntegerField(default=0)),
                ("error", models.CharField(default="", max_length=64)),
                ("failed_at", models.DateTimeField(null=True)),
                ("due_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "audit_cursor",
            },
        ),
        migrations.CreateModel(
            name="ShippingReceipt",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("tenant_id", models.TextField()),
                ("destination", models.CharField(max_length=36)),
                ("first_seq", models.BigIntegerField()),
                ("last_seq", models.BigIntegerField()),
                ("records", models.IntegerField()),
                ("leaves_hash", models.CharField(max_length=64)),
                ("key_version", models.IntegerField()),
                ("note", models.TextField()),
                ("confirmed_at", models.DateTimeField()),
                ("shipped_at", models.DateTimeField(null=True)),
                ("error", models.CharField(default="", max_length=64)),
            ],
            options={
                "db_table": "audit_shippingreceipt",
                "indexes": [
                    models.Index(fields=["tenant_id", "destination", "last_seq"], name="siem_receipts_of_range"),
                    models.Index(
                        condition=models.Q(("error", ""), ("shipped_at", None)),
                        fields=["tenant_id", "destination", "id"],
                        name="siem_receipts_to_ship",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Unshippable",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("tenant_id", models.TextField()),
                ("destination", models.CharField(max_length=36)),
                ("first_seq", models.BigIntegerField()),
                ("last_seq", models.BigIntegerField()),
                ("code", models.CharField(max_length=64)),
                ("noted_at", models.DateTimeField()),
                ("resolved_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "audit_unshippable",
                "indexes": [
                    models.Index(
                        condition=models.Q(("resolved_at", None)),
                        fields=["tenant_id", "destination", "first_seq"],
                        name="siem_unshippable_open",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SiemDestination",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=64)),
                (
                    "backend",
                    models.CharField(
                        choices=[("splunk", "Splunk"), ("datadog", "Datadog"), ("elastic", "Elasticsearch")],
                        max_length=16,
                    ),
                ),
                ("endpoint", models.CharField(max_length=500)),
                ("index", models.CharField(blank=True, default="", max_length=255)),
                ("sourcetype", models.CharField(blank=True, default="", max_length=100)),
                ("search_endpoint", models.CharField(blank=True, default="", max_length=500)),
                (
                    "event_bytes",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="The largest event that is taken whole; empty for what the vendor documents.",
                        null=True,
                    ),
                ),
                ("secrets_sealed", models.BinaryField()),
                (
                    "is_paused",
                    models.BooleanField(default=False, help_text="Records wait until it goes on; none is lost."),
                ),
                ("tested_at", models.DateTimeField(blank=True, null=True)),
                ("test_error", models.CharField(blank=True, default="", max_length=64)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
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
                "verbose_name": "SIEM destination",
                "db_table": "audit_siemdestination",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "name"), name="siem_destination_name_once"),
                    models.CheckConstraint(
                        condition=models.Q(("backend__in", ["splunk", "datadog", "elastic"])), name="siem_backend_known"
                    ),
                ],
            },
        ),
        tenant_table("audit_siemdestination", resolver=True),
        captured(
            "audit_siemdestination",
            "SiemDestination",
            secret=["secrets_sealed"],
            ignore=["tested_at", "test_error", "updated_at"],
            name="name",
        ),
        migrations.RunSQL(SHIPPING, ""),
        resolver_function(
            "gauge_siem(operator boolean)",
            "TABLE (tenant text, destination text, behind bigint, since timestamptz, refused bigint)",
            # What is not confirmed, by log and destination, and since when it is not all; of paused ones too.
            """
            WITH target AS (
                SELECT h.tenant_id, h.seq, 'operator' AS key, 'operator' AS name, t.created_at
                  FROM public.audit_head h LEFT JOIN public.tenancy_tenant t ON t.id = h.tenant_id
                 WHERE operator AND coalesce(t.is_active, true)
                UNION ALL
                SELECT h.tenant_id, h.seq, d.id::text, d.name, d.created_at
                  FROM public.audit_siemdestination d JOIN public.audit_head h ON h.tenant_id = d.tenant_id
                  JOIN public.tenancy_tenant t ON t.id = d.tenant_id AND t.is_active
            )
            SELECT a.tenant_id::text, a.name::text, greatest(a.seq - coalesce(c.seq, 0), 0),
                   CASE WHEN a.seq > coalesce(c.seq, 0) THEN coalesce(c.caught_up_at, c.created_at, a.created_at,
                        (SELECT min(t.created_at) FROM public.tenancy_tenant t)) END,
                   (SELECT coalesce(sum(u.last_seq - u.first_seq + 1), 0)::bigint FROM public.audit_unshippable u
                     WHERE u.tenant_id = a.tenant_id AND u.destination = a.key AND u.resolved_at IS NULL)
              FROM target a LEFT JOIN public.audit_cursor c
                ON c.tenant_id = a.tenant_id AND c.follower = 'siem:' || a.key
            """,
        ),
    ]
