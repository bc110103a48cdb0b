from django.db import migrations, models

from audit.capture.triggers import captured

PLACE = ["arrival", "last_id", "batches", "entries", "head", "caught_up_at"]


def capture(*ignored: str) -> migrations.RunSQL:
    return captured("customers_exportcheckpoint", "ExportCheckpoint", ignore=[*PLACE, *ignored])


class Migration(migrations.Migration):
    dependencies = [("customers", "0009_propensity")]

    operations = [
        migrations.AddField(
            model_name="exportcheckpoint",
            name="strikes",
            field=models.BigIntegerField(default=0, help_text="How often somebody was looked for, to be taken out."),
        ),
        # The capture, written anew: that somebody was looked for is in the record of their erasure.
        migrations.RunSQL(capture().reverse_sql, capture().sql),
        capture("strikes"),
    ]
