"""Engagement health under legal hold's guard."""

from django.db import migrations

from compliance.holding.guards import guarded


class Migration(migrations.Migration):
    dependencies = [("compliance", "0011_epoch"), ("customers", "0006_engagement")]

    operations = [guarded("customers_engagementhealth", "metrics")]
