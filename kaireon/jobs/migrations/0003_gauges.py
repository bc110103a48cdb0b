"""The sweep leaves paused types alone, and the gauges count what waits and runs, by queue and type."""

from django.db import migrations, models

from kaireon.tenancy.rls import RESOLVER, resolver_function

DUE_JOBS = """
SELECT j.tenant_id::text, j.id, j.queue::text, j.type::text
  FROM (SELECT * FROM (SELECT q.tenant_id, q.id, q.queue, q.type, q.due_at AS since
                         FROM public.jobs_job q
                        WHERE q.state = 'queued' AND q.due_at <= moment AND NOT q.type = ANY(skipped)
                          AND (queues IS NULL OR q.queue = ANY(queues))
                          AND q.tenant_id IN (SELECT id FROM public.tenancy_tenant WHERE is_active)
                        ORDER BY q.due_at LIMIT most) queued
        UNION ALL
        SELECT * FROM (SELECT r.tenant_id, r.id, r.queue, r.type, r.lease_until AS since
                         FROM public.jobs_job r
                        WHERE r.state = 'running' AND r.lease_until <= moment AND NOT r.type = ANY(skipped)
                          AND (queues IS NULL OR r.queue = ANY(queues))
                          AND r.tenant_id IN (SELECT id FROM public.tenancy_tenant WHERE is_active)
                        ORDER BY r.lease_until LIMIT most) expired) j
 ORDER BY j.since LIMIT most
"""


class Migration(migrations.Migration):
    dependencies = [("jobs", "0002_walls")]

    operations = [
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "done"), _negated=True),
                fields=["state", "queue", "type", "due_at"],
                name="jobs_counted",
            ),
        ),
        migrations.RunSQL(
            f"SET LOCAL ROLE {RESOLVER}; DROP FUNCTION public.due_jobs(timestamptz, integer); RESET ROLE", ""
        ),
        resolver_function(
            "due_jobs(moment timestamptz, most integer, skipped text[], queues text[])",
            "TABLE (tenant_id text, id uuid, queue text, type text)",
            DUE_JOBS,
        ),
        resolver_function(
            "gauge_jobs()",
            "TABLE (queue text, type text, state text, jobs bigint, first_due timestamptz)",
            """
            SELECT j.queue::text, j.type::text, j.state::text, count(*), min(j.due_at)
              FROM public.jobs_job j WHERE j.state IN ('queued', 'running') GROUP BY 1, 2, 3
            """,
        ),
    ]
