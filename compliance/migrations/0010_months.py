"""Months that go whole: the function that drops a partition when nothing in it has a reason to stay."""

from pathlib import Path

from django.db import migrations

MONTHS = (Path(__file__).resolve().parent.parent / "purging" / "months.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("compliance", "0009_purge_plans"), ("audit", "0002_walls"), ("customers", "0002_walls")]

    operations = [migrations.RunSQL(MONTHS, "")]
