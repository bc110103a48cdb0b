"""Events that may arrive late, and each once."""

from pathlib import Path

from django.db import migrations, models

SPOOL = (Path(__file__).resolve().parent.parent / "spool" / "spool.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("audit", "0008_prune")]

    operations = [
        migrations.CreateModel(
            name="Arrival",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "event_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tenant_id", models.TextField()),
                ("event_id", models.UUIDField()),
                ("arrived_at", models.DateTimeField()),
            ],
            options={
                "db_table": "audit_arrival",
                "indexes": [models.Index(fields=["arrived_at"], name="audit_arrival_age")],
            },
        ),
        migrations.RunSQL(SPOOL, ""),
    ]
