"""Pipelines and their runs come under audit, runs and checkpoints under legal hold's guard."""

from django.db import migrations

from audit.capture.triggers import captured


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0002_walls"),
        ("flows", "0002_walls"),
        ("audit", "0002_walls"),
        # Its SQL functions only.
        ("compliance", "0002_walls"),
    ]

    operations = [
        captured("flows_pipeline", "Pipeline", name="name", ignore=["next_run_at"]),
        captured(
            "flows_flowrun",
            "FlowRun",
            name="name",
            # Who works on it and how often it was tried is not what happened.
            ignore=["holder", "job_ref", "keeps_batches", "error", "message", "failed_step"],
            exact=["rows_in", "rows_out", "rows_failed"],
        ),
        *(
            migrations.RunSQL(
                f"SELECT public.guard_table('{table}', 'metrics');"
                f" SELECT public.scope_table('{table}', '{entity}', 'metrics', 'finished_at', '', '', '{{}}')",
                f"SELECT public.unguard_table('{table}')",
            )
            for table, entity in (("flows_flowrun", "flowRun"), ("flows_flowcheckpoint", "flowCheckpoint"))
        ),
    ]
