"""Signals of the scan of the log, and how far it has looked."""

import django.db.models.deletion
import kaireon.lib.ids
import kaireon.tenancy.context
from django.db import migrations, models

from audit.capture.triggers import captured
from compliance.holding.guards import guarded
from kaireon.tenancy.rls import resolver_function, tenant_table


# What whoever acknowledges a signal, emits its line or shreds its note may change of it.
STANDING = "state, emitted_at, acknowledged_by, acknowledged_by_name, acknowledged_at, note_sealed"

# Of the active tenants that were scanned: up to when the one that is furthest behind was, and in how many time is missing
# between two spans.
SCANS = """
SELECT count(*), min(newest), count(*) FILTER (WHERE spans > 1)
  FROM (SELECT max(c.ends_at) AS newest, count(*) AS spans
          FROM public.compliance_scancoverage c JOIN public.tenancy_tenant t ON t.id = c.tenant_id
         WHERE t.is_active GROUP BY c.tenant_id) of_tenant
"""
SIGNALS = """
SELECT s.severity::text, count(*) FROM public.compliance_securitysignal s WHERE s.state = 'open' GROUP BY 1
"""


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0013_drift"),
        ("tenancy", "0003_working_days"),
    ]

    operations = [
        migrations.CreateModel(
            name="ScanCoverage",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("begins_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("through_seq", models.BigIntegerField(default=0)),
                ("platform_seq", models.BigIntegerField(default=0)),
                ("scanned_at", models.DateTimeField()),
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
                "indexes": [models.Index(fields=["tenant", "begins_at"], name="scan_coverage")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("ends_at__gte", models.F("begins_at"))), name="scan_span_is_forward"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SecuritySignal",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("new_account_first_workflow", "First workflow of a new account"),
                            ("event_before_joining", "Event dated before joining"),
                            ("new_account_escalation", "New account goes further"),
                            ("bulk_export_odd_hours", "Bulk export at odd hours"),
                            ("hold_release_then_purge", "Hold released, then a purge"),
                            ("mass_erasure", "Mass erasure"),
                            ("audit_view_spike", "Audit log read in haste"),
                            ("cross_tenant_probing", "Probing what is not theirs"),
                            ("credential_stuffing", "Sign-in tried from many addresses"),
                        ],
                        max_length=32,
                    ),
                ),
                ("severity", models.CharField(choices=[("page", "Page"), ("routine", "Routine")], max_length=8)),
                (
                    "evidence",
                    models.JSONField(blank=True, default=list, help_text="What made it a page, as words of our own."),
                ),
                (
                    "about",
                    models.JSONField(blank=True, default=dict, help_text="Counts, spans and ids; nothing personal."),
                ),
                ("member_id", models.CharField(blank=True, default="", max_length=64)),
                ("actor_id", models.CharField(blank=True, default="", max_length=64)),
                ("record_id", models.UUIDField(help_text="The record of the log that it is about.")),
                ("occurred_at", models.DateTimeField()),
                ("raised_at", models.DateTimeField()),
                ("emitted_at", models.DateTimeField(blank=True, help_text="When its line was written.", null=True)),
                ("fingerprint", models.CharField(max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("acknowledged", "Acknowledged")], default="open", max_length=12
                    ),
                ),
                ("acknowledged_by", models.CharField(blank=True, default="", max_length=64)),
                ("acknowledged_by_name", models.CharField(blank=True, default="", max_length=200)),
                ("acknowledged_at", models.DateTimeField(blank=True, null=True)),
                ("note_sealed", models.BinaryField(blank=True, null=True)),
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
                "verbose_name": "security signal",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["tenant", "-raised_at"], name="signal_newest"),
                    models.Index(fields=["tenant", "kind", "occurred_at"], name="signal_of_a_kind"),
                    models.Index(
                        condition=models.Q(("emitted_at", None)), fields=["tenant", "id"], name="signal_to_emit"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "fingerprint"), name="signal_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "kind__in",
                                [
                                    "new_account_first_workflow",
                                    "event_before_joining",
                                    "new_account_escalation",
                                    "bulk_export_odd_hours",
                                    "hold_release_then_purge",
                                    "mass_erasure",
                                    "audit_view_spike",
                                    "cross_tenant_probing",
                                    "credential_stuffing",
                                ],
                            )
                        ),
                        name="signal_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("severity__in", ["page", "routine"])), name="signal_severity_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("acknowledged_at", None), ("state", "open")),
                            models.Q(("acknowledged_at__isnull", False), ("state", "acknowledged")),
                            _connector="OR",
                        ),
                        name="signal_acknowledged_has_its_time",
                    ),
                ],
            },
        ),
        tenant_table("compliance_scancoverage", resolver=True),
        tenant_table("compliance_securitysignal", f"SELECT, INSERT, UPDATE ({STANDING}), DELETE", resolver=True),
        captured(
            "compliance_securitysignal", "SecuritySignal", secret=["note_sealed"], ignore=["emitted_at"], name="kind"
        ),
        guarded("compliance_securitysignal", "security"),
        resolver_function("gauge_scans()", "TABLE (tenants bigint, oldest timestamptz, gaps bigint)", SCANS),
        resolver_function("gauge_signals()", "TABLE (severity text, signals bigint)", SIGNALS),
    ]
