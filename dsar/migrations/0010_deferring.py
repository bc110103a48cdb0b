"""The steps of an erasure, and when it was answered: one that waits for a hold to end is not late."""

import django.db.models.deletion
from django.db import migrations, models

import kaireon.lib.ids
import kaireon.tenancy.context
from audit.capture.triggers import captured
from kaireon.tenancy.rls import RESOLVER, resolver_function, tenant_reference, tenant_table


class Migration(migrations.Migration):
    dependencies = [("dsar", "0009_dossiers"), ("tenancy", "0002_walls")]

    operations = [
        migrations.AddField(
            model_name="dsarrequest",
            name="answered_at",
            field=models.DateTimeField(
                blank=True, help_text="When an erasure was answered; what it had to leave may go later.", null=True
            ),
        ),
        migrations.CreateModel(
            name="ErasureStep",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("turn", models.PositiveSmallIntegerField(default=1)),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "name",
                    models.CharField(
                        choices=[
                            ("rows", "Rows, in one transaction"),
                            ("objects", "Stored files, each confirmed gone"),
                            ("verification", "A last look, and the key to the log"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "Waiting"), ("done", "Done"), ("failed", "Failed, tried again")],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                (
                    "error",
                    models.CharField(
                        blank=True, default="", help_text="Reason code of the last failure.", max_length=64
                    ),
                ),
                ("counts", models.JSONField(blank=True, default=dict)),
                ("began_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "request",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="dsar.dsarrequest",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        default=kaireon.tenancy.context.tenant_id,
                        editable=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name": "step of an erasure",
                "verbose_name_plural": "steps of erasures",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "request", "turn", "name"), name="erasure_step_once"),
                    models.CheckConstraint(
                        condition=models.Q(("name__in", ["rows", "objects", "verification"])),
                        name="erasure_step_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("finished_at__isnull", False), ("state", "done")),
                            models.Q(("state__in", ["waiting", "failed"]), ("finished_at", None)),
                            _connector="OR",
                        ),
                        name="erasure_step_done_has_its_time",
                    ),
                ],
            },
        ),
        tenant_table("dsar_erasurestep"),
        tenant_reference("dsar_erasurestep", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured("dsar_erasurestep", "ErasureStep"),
        migrations.RunSQL(
            f"""
            SET LOCAL ROLE {RESOLVER}; DROP FUNCTION public.gauge_requests(timestamptz); RESET ROLE;
            GRANT SELECT (answered_at) ON public.dsar_dsarrequest TO {RESOLVER};
            """,
            "",
        ),
        resolver_function(
            "gauge_requests(moment timestamptz)",
            "TABLE (status text, requests bigint, overdue bigint, oldest timestamptz)",
            """
            SELECT r.status::text, count(*),
                   count(*) FILTER (WHERE r.answered_at IS NULL
                                      AND r.deadline_on < (moment AT TIME ZONE t.time_zone)::date),
                   min(r.received_at) FILTER (WHERE r.answered_at IS NULL)
              FROM public.dsar_dsarrequest r JOIN public.tenancy_tenant t ON t.id = r.tenant_id
             WHERE r.status <> 'completed' GROUP BY 1
            """,
        ),
    ]
