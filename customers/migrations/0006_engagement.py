"""How engaged customers are: figures by the customer and by the day."""

import django.db.models.deletion
import kaireon.lib.clock
import kaireon.lib.ids
import kaireon.tenancy.context
import kaireon.tenancy.fields
from django.db import migrations, models

from audit.capture.triggers import captured, captured_in_bulk
from kaireon.tenancy.rls import tenant_reference, tenant_table

TABLES = ("customers_engagementhealth", "customers_engagementday", "customers_engagementprogress")


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0005_removal_looked_for"),
        ("tenancy", "0003_working_days"),
        ("audit", "0002_walls"),
    ]

    operations = [
        migrations.CreateModel(
            name="EngagementDay",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("day", models.DateField()),
                ("computed_at", models.DateTimeField(verbose_name="as of")),
                ("customers", models.PositiveIntegerField(help_text="Who did anything at all.")),
                ("engaged", models.PositiveIntegerField()),
                ("fading", models.PositiveIntegerField()),
                ("dormant", models.PositiveIntegerField()),
                ("opted_out", models.PositiveIntegerField(help_text="Who has withdrawn something.")),
                ("average", kaireon.tenancy.fields.ExactFloat(verbose_name="average score")),
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
                "constraints": [models.UniqueConstraint(fields=("tenant", "day"), name="engagement_day_once")],
            },
        ),
        migrations.CreateModel(
            name="EngagementHealth",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("last_act_at", models.DateTimeField(verbose_name="last act")),
                ("lively", models.FloatField(help_text="Acts, each halved every 30 days.")),
                ("steady", models.FloatField(help_text="Acts, each halved every 90 days.")),
                ("score", models.PositiveSmallIntegerField(help_text="From 0 to 100, as of then.")),
                (
                    "opt_outs",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="Channels and purposes that they have withdrawn."
                    ),
                ),
                ("period_start", models.DateTimeField(verbose_name="first act counted")),
                ("period_end", models.DateTimeField(verbose_name="as of")),
                ("created_at", models.DateTimeField(default=kaireon.lib.clock.now, editable=False)),
                (
                    "customer",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="customers.customer",
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
                "verbose_name": "engagement health",
                "verbose_name_plural": "engagement health",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["tenant", "period_end"], name="engagement_by_period")],
                "constraints": [models.UniqueConstraint(fields=("tenant", "customer"), name="engagement_of_customer")],
            },
        ),
        migrations.CreateModel(
            name="EngagementProgress",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("seen_until", models.DateTimeField(null=True)),
                ("whole_at", models.DateTimeField(null=True)),
                ("whole_began_at", models.DateTimeField(null=True)),
                ("position", models.UUIDField(null=True)),
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
                    models.UniqueConstraint(fields=("tenant",), name="engagement_progress_once"),
                    models.CheckConstraint(
                        condition=models.Q(("position", None), ("whole_began_at__isnull", False), _connector="OR"),
                        name="engagement_position_of_something",
                    ),
                ],
            },
        ),
        *(tenant_table(table) for table in TABLES),
        tenant_reference("customers_engagementhealth", "customer_id", "customers_customer"),
        captured_in_bulk("customers_engagementhealth", "EngagementHealth", range_column="period_end"),
        captured("customers_engagementday", "EngagementDay", exact=["average"]),
        captured("customers_engagementprogress", "EngagementProgress"),
    ]
