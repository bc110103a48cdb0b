"""Pipelines, runs and checkpoints stay apart by tenant."""

from django.db import migrations

from kaireon.tenancy.rls import tenant_reference, tenant_table


class Migration(migrations.Migration):
    dependencies = [("flows", "0001_initial"), ("tenancy", "0002_walls")]

    operations = [
        tenant_table("flows_pipeline", "SELECT, INSERT, UPDATE"),
        tenant_table("flows_flowrun"),
        tenant_table("flows_flowcheckpoint"),
        tenant_reference("flows_flowrun", "pipeline_id", "flows_pipeline"),
        # Retention takes a run with what its steps left.
        tenant_reference("flows_flowcheckpoint", "run_id", "flows_flowrun", on_delete="CASCADE"),
    ]
