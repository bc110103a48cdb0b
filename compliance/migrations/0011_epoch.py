"""The epoch counts every change of what stays, and says how far it is."""

from pathlib import Path

from django.db import migrations

EPOCH = (Path(__file__).resolve().parent.parent / "purging" / "epoch.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("compliance", "0010_months")]

    operations = [migrations.RunSQL(EPOCH, "")]
