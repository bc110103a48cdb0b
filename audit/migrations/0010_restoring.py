"""Restores of an older database: what was lost by them, and which database was compared with what left it."""

from pathlib import Path

from django.db import migrations, models

from kaireon.tenancy.rls import global_table

RESTORE = (Path(__file__).resolve().parent.parent / "restoring" / "restore.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("audit", "0009_spool")]

    operations = [
        migrations.CreateModel(
            name="Restore",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant_id", models.TextField()),
                ("number", models.IntegerField()),
                ("kept_size", models.BigIntegerField()),
                ("kept_checkpoint", models.BigIntegerField()),
                ("lost_name", models.TextField()),
                ("lost_size", models.BigIntegerField()),
                ("lost_root", models.CharField(max_length=64)),
                ("lost_note", models.TextField()),
                ("note", models.TextField()),
                ("acknowledged_at", models.DateTimeField()),
            ],
            options={"db_table": "audit_restore"},
        ),
        migrations.CreateModel(
            name="Incarnation",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("fingerprint", models.TextField()),
                ("older", models.JSONField(default=list)),
                ("compared_at", models.DateTimeField()),
            ],
            options={
                "db_table": "audit_incarnation",
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="audit_incarnation_one")],
            },
        ),
        global_table("audit_incarnation", "SELECT, INSERT, UPDATE"),
        migrations.RunSQL(RESTORE, ""),
    ]
