"""Tombstones, and the one function that removes what they stand for."""

from pathlib import Path

from django.db import migrations, models

PRUNE = (Path(__file__).resolve().parent.parent / "pruning" / "prune.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("audit", "0007_exports"), ("approvals", "0002_walls")]

    operations = [
        migrations.CreateModel(
            name="Tombstone",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "last_seq", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant_id", models.TextField()),
                ("first_seq", models.BigIntegerField()),
                ("last_seq", models.BigIntegerField()),
                ("records", models.BigIntegerField()),
                ("root_hash", models.CharField(max_length=64)),
                ("last_integrity_hash", models.CharField(max_length=64)),
                ("oldest", models.DateTimeField()),
                ("newest", models.DateTimeField()),
                ("policy", models.JSONField()),
                ("approval", models.JSONField()),
                ("approval_id", models.UUIDField()),
                ("archive_name", models.TextField()),
                ("archive_sha256", models.CharField(max_length=64)),
                ("pruned_at", models.DateTimeField()),
                ("note", models.TextField()),
            ],
            options={
                "db_table": "audit_tombstone",
                "constraints": [
                    models.UniqueConstraint(fields=("tenant_id", "approval_id"), name="audit_tombstone_approval")
                ],
            },
        ),
        migrations.RunSQL(PRUNE, ""),
    ]
