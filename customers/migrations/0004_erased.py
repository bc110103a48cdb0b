"""Whose data was erased, by key: so that they are not taken in again unawares."""

import django.db.models.deletion
from django.db import migrations, models

import kaireon.lib.ids
import kaireon.tenancy.context
from audit.capture.triggers import captured
from kaireon.tenancy.rls import tenant_table


class Migration(migrations.Migration):
    dependencies = [("customers", "0003_flows"), ("tenancy", "0002_walls"), ("audit", "0002_walls")]

    operations = [
        migrations.CreateModel(
            name="ErasedSubject",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("subject_key", models.CharField(editable=False, max_length=80)),
                ("created_at", models.DateTimeField(verbose_name="erased")),
                ("released_at", models.DateTimeField(blank=True, null=True, verbose_name="let in again")),
                ("released_by", models.CharField(blank=True, default="", max_length=64)),
                (
                    "released_by_name",
                    models.CharField(blank=True, default="", max_length=200, verbose_name="let in by"),
                ),
                (
                    "reason",
                    models.CharField(blank=True, default="", help_text="Why they were let in again.", max_length=500),
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
                "verbose_name": "erased person",
                "verbose_name_plural": "erased people",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["tenant", "created_at"], name="erased_subject_by_time")],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "subject_key"), name="erased_subject_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("released_at", None),
                            models.Q(
                                models.Q(("released_by_name", ""), _negated=True),
                                models.Q(("reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="erased_subject_release_says_why",
                    ),
                ],
            },
        ),
        tenant_table("customers_erasedsubject", "SELECT, INSERT, UPDATE"),
        captured("customers_erasedsubject", "ErasedSubject"),
    ]
