"""The finer states of a request, and how it may end."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("dsar", "0003_gauges"),
        ("tenancy", "0002_walls"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="dsarrequest",
            name="dsar_state_fits_status",
        ),
        migrations.AlterField(
            model_name="dsarrequest",
            name="outcome",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "-"),
                    ("completed", "Completed"),
                    ("partially_completed", "Partially completed"),
                    ("no_data", "No data about this subject"),
                    ("rejected", "Rejected"),
                    ("withdrawn", "Withdrawn by the subject"),
                    ("duplicate", "Answered by another request"),
                ],
                default="",
                max_length=24,
            ),
        ),
        migrations.AlterField(
            model_name="dsarrequest",
            name="state",
            field=models.CharField(
                choices=[
                    ("identity", "Waiting for proof of identity"),
                    ("approval", "Waiting for a second person"),
                    ("window", "Waiting, and can still be cancelled"),
                    ("queued", "Queued"),
                    ("running", "Running"),
                    ("finishing", "Rows erased, removing stored files"),
                    ("review", "In review"),
                    ("deferred", "Deferred while something must stay"),
                    ("completed", "Completed"),
                    ("failed", "Failed"),
                ],
                default="queued",
                max_length=24,
            ),
        ),
        migrations.AddConstraint(
            model_name="dsarrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "identity"), ("status", "queued")),
                    models.Q(("state", "approval"), ("status", "queued")),
                    models.Q(("state", "window"), ("status", "queued")),
                    models.Q(("state", "queued"), ("status", "queued")),
                    models.Q(("state", "running"), ("status", "processing")),
                    models.Q(("state", "finishing"), ("status", "processing")),
                    models.Q(("state", "review"), ("status", "processing")),
                    models.Q(("state", "deferred"), ("status", "processing")),
                    models.Q(("state", "completed"), ("status", "completed")),
                    models.Q(("state", "failed"), ("status", "failed")),
                    _connector="OR",
                ),
                name="dsar_state_fits_status",
            ),
        ),
    ]
