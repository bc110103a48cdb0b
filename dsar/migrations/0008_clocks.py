"""Extension and pauses of clocks, and the day that counts after them."""

import django.db.models.deletion
import kaireon.lib.ids
import kaireon.tenancy.context
from django.db import migrations, models

from audit.capture.triggers import captured
from kaireon.tenancy.rls import RESOLVER, resolver_function, tenant_reference, tenant_table

# A clock keeps what it began with, and its deadline moves later for a recorded reason only, whatever the code does.
KEEP_CLOCKS = """
CREATE FUNCTION public.dsar_keep_clock() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Earlier is for one that takes over the clock of an earlier request for the same.
    IF NEW.due_on > OLD.due_on OR NEW.received_at > OLD.received_at OR NEW.regulation <> OLD.regulation THEN
        RAISE EXCEPTION 'the due date of a subject request never moves later'
            USING ERRCODE = 'check_violation', HINT = 'Extension and pauses move its deadline.';
    END IF;
    IF (NEW.deadline_on IS NULL OR NEW.deadline_on > NEW.due_on)
       AND NEW.deadline_on IS DISTINCT FROM OLD.deadline_on
       AND NEW.extended_at IS NULL
       AND NOT EXISTS (SELECT FROM public.dsar_clockpause p
                        WHERE p.tenant_id = NEW.tenant_id AND p.request_id = NEW.id) THEN
        RAISE EXCEPTION 'the deadline of a subject request moves later for a recorded reason only'
            USING ERRCODE = 'check_violation', HINT = 'Record the extension or the pause first.';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION public.dsar_keep_clock() FROM PUBLIC;
CREATE TRIGGER keep_clock BEFORE UPDATE OF due_on, received_at, regulation, deadline_on ON public.dsar_dsarrequest
    FOR EACH ROW EXECUTE FUNCTION public.dsar_keep_clock();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("dsar", "0007_life"),
        ("audit", "0002_walls"),
        ("tenancy", "0003_working_days"),
    ]

    operations = [
        migrations.CreateModel(
            name="ClockPause",
            fields=[
                (
                    "id",
                    models.UUIDField(default=kaireon.lib.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "ground",
                    models.CharField(
                        choices=[("identity", "Identity"), ("fee", "Fee"), ("clarification", "Clarification")],
                        max_length=16,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        help_text="What was asked for, and why it is needed. Name no customer: it stands in the audit log in clear.",
                        max_length=500,
                    ),
                ),
                ("paused_at", models.DateTimeField()),
                ("paused_by", models.CharField(max_length=64)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_by", models.CharField(blank=True, default="", max_length=64)),
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
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.RemoveIndex(
            model_name="dsarrequest",
            name="dsar_by_status",
        ),
        migrations.RemoveIndex(
            model_name="dsarrequest",
            name="dsar_unanswered",
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="clock_terms",
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="deadline_on",
            field=models.DateField(
                blank=True,
                help_text="The last day in time after extension and pauses, in your time zone; none while the clock stands.",
                null=True,
                verbose_name="deadline",
            ),
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="extended_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="extended_by",
            field=models.CharField(blank=True, default="", editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name="dsarrequest",
            name="extension_reason",
            field=models.CharField(blank=True, default="", max_length=500),
        ),
        migrations.AlterField(
            model_name="dsarrequest",
            name="due_on",
            field=models.DateField(help_text="The last day in time as the law gives it at receipt. It never moves."),
        ),
        migrations.AddIndex(
            model_name="dsarrequest",
            index=models.Index(fields=["tenant", "status", "deadline_on"], name="dsar_by_status"),
        ),
        migrations.AddIndex(
            model_name="dsarrequest",
            index=models.Index(
                condition=models.Q(("status", "completed"), _negated=True),
                fields=["status", "tenant", "deadline_on", "received_at"],
                name="dsar_unanswered",
            ),
        ),
        migrations.AddIndex(
            model_name="clockpause",
            index=models.Index(fields=["tenant", "request", "paused_at"], name="clock_pause_by_request"),
        ),
        migrations.AddConstraint(
            model_name="clockpause",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)), fields=("tenant", "request"), name="clock_pause_one_at_a_time"
            ),
        ),
        migrations.AddConstraint(
            model_name="clockpause",
            constraint=models.CheckConstraint(
                condition=models.Q(("ended_at", None), ("ended_at__gte", models.F("paused_at")), _connector="OR"),
                name="clock_pause_ends_after_it_began",
            ),
        ),
        tenant_table("dsar_clockpause", "SELECT, INSERT, UPDATE"),
        tenant_reference("dsar_clockpause", "request_id", "dsar_dsarrequest", on_delete="CASCADE"),
        captured("dsar_clockpause", "ClockPause"),
        migrations.RunSQL(KEEP_CLOCKS, ""),
        # The gauges go by the day that counts.
        migrations.RunSQL(
            f"""
            GRANT SELECT (deadline_on) ON public.dsar_dsarrequest TO {RESOLVER};
            SET LOCAL ROLE {RESOLVER}; DROP FUNCTION public.gauge_requests(timestamptz); RESET ROLE;
            """,
            "",
        ),
        resolver_function(
            "gauge_requests(moment timestamptz)",
            "TABLE (status text, requests bigint, overdue bigint, oldest timestamptz)",
            """
            SELECT r.status::text, count(*),
                   count(*) FILTER (WHERE r.deadline_on < (moment AT TIME ZONE t.time_zone)::date), min(r.received_at)
              FROM public.dsar_dsarrequest r JOIN public.tenancy_tenant t ON t.id = r.tenant_id
             WHERE r.status <> 'completed' GROUP BY 1
            """,
        ),
    ]
