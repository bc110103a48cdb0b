"""Letters to subjects, what they say, and how each tenant writes them."""

import django.db.models.deletion
import kaireon.lib.ids
import kaireon.tenancy.context
from django.db import migrations, models

from audit.capture.triggers import captured
from compliance.holding.guards import guarded
from kaireon.tenancy.rls import tenant_reference, tenant_table


class Migration(migrations.Migration):
    dependencies = [
        ("dsar", "0012_searches"),
        ("tenancy", "0003_working_days"),
        ("audit", "0002_walls"),
        ("compliance", "0002_walls"),
    ]

    operations = [
        migrations.AddField(
            model_name="dsarrequest",
            name="language",
            field=models.CharField(blank=True, default="", help_text="Of the letters; BCP 47.", max_length=35),
        ),
        migrations.CreateModel(
            name="Letter",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("acknowledgement", "Acknowledgement"),
                            ("duplicate", "Answered with an earlier request"),
                            ("extension", "Extension of the time"),
                            ("refusal", "Refusal"),
                            ("deferral", "Done in part, the rest later"),
                            ("completion", "Completion"),
                            ("withdrawal", "Withdrawal confirmed"),
                        ],
                        max_length=16,
                    ),
                ),
                ("number", models.PositiveSmallIntegerField(default=1)),
                ("language", models.CharField(max_length=8)),
                (
                    "template_version",
                    models.PositiveIntegerField(default=0, help_text="Of the tenant's own words; 0: the product's."),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("kept", "Address kept for the answer"),
                            ("waiting", "Waiting to be sent"),
                            ("sent", "Sent"),
                            ("failed", "Failed"),
                            ("not_possible", "To be sent by other means"),
                            ("sent_otherwise", "Sent by other means"),
                            ("dropped", "Not needed any more"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                ("error", models.CharField(blank=True, default="", help_text="Why it was not sent.", max_length=64)),
                (
                    "tries",
                    models.PositiveSmallIntegerField(default=0, help_text="How often the mail server said: later."),
                ),
                ("written_at", models.DateTimeField()),
                ("settled_at", models.DateTimeField(blank=True, help_text="When it was sent, or given up.", null=True)),
                ("job_ref", models.UUIDField(blank=True, editable=False, null=True)),
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
                "indexes": [models.Index(fields=["tenant", "state"], name="letter_by_state")],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "request", "kind", "number"), name="letter_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "kind__in",
                                [
                                    "acknowledgement",
                                    "duplicate",
                                    "extension",
                                    "refusal",
                                    "deferral",
                                    "completion",
                                    "withdrawal",
                                ],
                            )
                        ),
                        name="letter_kind_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                ["kept", "waiting", "sent", "failed", "not_possible", "sent_otherwise", "dropped"],
                            )
                        ),
                        name="letter_state_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LetterSettings",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "automatic",
                    models.BooleanField(default=False, help_text="Letters are written and sent by themselves."),
                ),
                (
                    "language",
                    models.CharField(default="en", help_text="Where the subject's is not known.", max_length=8),
                ),
                (
                    "sender",
                    models.CharField(
                        blank=True, default="", help_text="Empty: that of the destination.", max_length=254
                    ),
                ),
                (
                    "contact",
                    models.CharField(blank=True, default="", help_text="Whom the subject can turn to.", max_length=300),
                ),
                (
                    "authority",
                    models.CharField(blank=True, default="", help_text="To whom they can complain.", max_length=300),
                ),
                (
                    "handover",
                    models.CharField(blank=True, default="", help_text="How a package is handed over.", max_length=300),
                ),
                ("changed_at", models.DateTimeField()),
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
                "verbose_name_plural": "letter settings",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant",), name="letter_settings_once")],
            },
        ),
        migrations.CreateModel(
            name="LetterTemplate",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("acknowledgement", "Acknowledgement"),
                            ("duplicate", "Answered with an earlier request"),
                            ("extension", "Extension of the time"),
                            ("refusal", "Refusal"),
                            ("deferral", "Done in part, the rest later"),
                            ("completion", "Completion"),
                            ("withdrawal", "Withdrawal confirmed"),
                        ],
                        max_length=16,
                    ),
                ),
                ("language", models.CharField(max_length=8)),
                ("subject", models.CharField(blank=True, default="", max_length=150)),
                ("body", models.TextField(blank=True, default="")),
                ("version", models.PositiveIntegerField(default=1)),
                ("written_at", models.DateTimeField()),
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "kind", "language", "version"), name="letter_template_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="LetterText",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("sealed", models.BinaryField()),
                ("customer_ref", models.UUIDField(blank=True, editable=False, null=True)),
                ("settled_at", models.DateTimeField(blank=True, help_text="Retention counts from here.", null=True)),
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
                    models.Index(fields=["tenant", "customer_ref"], name="letter_text_by_customer"),
                    models.Index(fields=["tenant", "settled_at"], name="letter_text_by_end"),
                ],
            },
        ),
        *(tenant_table(f"dsar_{name}") for name in ("letter", "lettertext", "lettersettings", "lettertemplate")),
        tenant_reference("dsar_letter", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured("dsar_letter", "Letter", ignore=["job_ref"]),
        captured("dsar_lettertext", "LetterText", subject="customer_ref", secret=["sealed"]),
        captured("dsar_lettersettings", "LetterSettings"),
        captured("dsar_lettertemplate", "LetterTemplate"),
        guarded("dsar_lettertext", "dsar"),
    ]
