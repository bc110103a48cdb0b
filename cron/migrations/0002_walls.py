"""Grants on the runs and on beat's tables, which belong to no tenant; changes of schedules go to the platform's log."""

from django.db import migrations

from audit.capture.triggers import captured
from kaireon.tenancy.rls import READ_WRITE, global_table

SCHEDULES = ("crontabschedule", "intervalschedule", "solarschedule", "clockedschedule")


class Migration(migrations.Migration):
    dependencies = [
        ("cron", "0001_initial"),
        ("audit", "0002_walls"),
        ("tenancy", "0002_walls"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        global_table("cron_jobrun", "SELECT, INSERT, UPDATE"),
        global_table("django_celery_beat_periodictask", READ_WRITE),
        # The mark that tells beat to read its rows again.
        global_table("django_celery_beat_periodictasks", READ_WRITE),
        *(global_table(f"django_celery_beat_{name}", READ_WRITE) for name in SCHEDULES),
        captured(
            "django_celery_beat_periodictask",
            "PeriodicTask",
            name="name",
            ignore=["last_run_at", "total_run_count", "date_changed"],
            platform=True,
        ),
        *(
            captured(f"django_celery_beat_{name}", entity, platform=True)
            for name, entity in zip(
                SCHEDULES, ("CrontabSchedule", "IntervalSchedule", "SolarSchedule", "ClockedSchedule"), strict=True
            )
        ),
    ]
