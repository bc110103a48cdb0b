"""Recipients of the data, and what each was told of requests."""

import django.db.models.deletion
import kaireon.lib.ids
import kaireon.tenancy.context
from django.db import migrations, models

from audit.capture.triggers import captured
from kaireon.tenancy.rls import tenant_reference, tenant_table


class Migration(migrations.Migration):
    dependencies = [
        ("dsar", "0014_public"),
        ("outbox", "0002_walls"),
        ("tenancy", "0003_working_days"),
        ("audit", "0002_walls"),
    ]

    operations = [
        migrations.CreateModel(
            name="Recipient",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(help_text="As the subject is told it.", max_length=120)),
                (
                    "knows_by",
                    models.CharField(
                        choices=[("customer_id", "Customer number"), ("email", "E-mail")],
                        default="customer_id",
                        help_text="By what it finds the person in what it got.",
                        max_length=16,
                    ),
                ),
                (
                    "sections",
                    models.JSONField(blank=True, default=list, help_text="What it got, by section; empty: everything."),
                ),
                ("is_enabled", models.BooleanField(default=True, help_text="One that is off is told nothing more.")),
                ("changed_at", models.DateTimeField()),
                (
                    "destination",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="outbox.destination",
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
        migrations.CreateModel(
            name="RecipientNotice",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("number", models.PositiveSmallIntegerField(default=1)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("erasure", "Erasure"),
                            ("rectification", "Rectification"),
                            ("restriction", "Restriction of processing"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "article",
                    models.CharField(blank=True, default="", help_text="Where the law wants it told.", max_length=80),
                ),
                ("sections", models.JSONField(blank=True, default=list)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "On its way"),
                            ("told", "Told"),
                            ("failed", "Could not be told"),
                            ("not_told", "Not told, for a reason"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                (
                    "error",
                    models.CharField(blank=True, default="", help_text="Why it could not be told.", max_length=64),
                ),
                (
                    "effort",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "-"),
                            ("impossible", "It proves impossible"),
                            ("disproportionate", "It involves disproportionate effort"),
                        ],
                        default="",
                        max_length=16,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True, default="", help_text="Why it was not told. Names nobody.", max_length=500
                    ),
                ),
                ("message_ref", models.UUIDField(blank=True, editable=False, null=True)),
                ("made_at", models.DateTimeField()),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                (
                    "recipient",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="dsar.recipient",
                    ),
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
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddConstraint(
            model_name="recipient",
            constraint=models.UniqueConstraint(fields=("tenant", "name"), name="recipient_name_once"),
        ),
        migrations.AddIndex(
            model_name="recipientnotice",
            index=models.Index(fields=["tenant", "message_ref"], name="notice_by_message"),
        ),
        migrations.AddConstraint(
            model_name="recipientnotice",
            constraint=models.UniqueConstraint(
                fields=("tenant", "request", "recipient", "number"), name="notice_to_recipient_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="recipientnotice",
            constraint=models.CheckConstraint(
                condition=models.Q(("state", "not_told"), ("effort", ""), _connector="XOR"),
                name="notice_not_told_for_a_reason",
            ),
        ),
        tenant_table("dsar_recipient"),
        tenant_table("dsar_recipientnotice"),
        tenant_reference("dsar_recipient", "destination_id", "outbox_destination"),
        tenant_reference("dsar_recipientnotice", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        tenant_reference("dsar_recipientnotice", "recipient_id", "dsar_recipient"),
        captured("dsar_recipient", "Recipient"),
        captured("dsar_recipientnotice", "RecipientNotice", ignore=["message_ref"]),
    ]
