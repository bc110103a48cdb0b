"""The laws that bind a tenant."""

import django.db.models.deletion
import kaireon.lib.ids
import kaireon.tenancy.context
from audit.capture.triggers import captured
from django.db import migrations, models
from kaireon.tenancy.rls import tenant_table


class Migration(migrations.Migration):
    dependencies = [
        ("compliance", "0007_policy_rules"),
        ("tenancy", "0002_walls"),
    ]

    operations = [
        migrations.CreateModel(
            name="BindingLaw",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(help_text="As in compliance/retention/laws.py.", max_length=64)),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField(blank=True, null=True)),
                ("switched_by", models.CharField(default="", max_length=64)),
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
                "verbose_name": "binding law",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("tenant", "name"), name="law_binds_once")],
            },
        ),
        tenant_table("compliance_bindinglaw", "SELECT, INSERT, UPDATE"),
        captured("compliance_bindinglaw", "BindingLaw", name="name"),
    ]
