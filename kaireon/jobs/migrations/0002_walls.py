"""Jobs stay apart by tenant; the sweep finds them through one narrow question of the resolver."""

from django.db import migrations

from kaireon.tenancy.rls import resolver_function, tenant_table


class Migration(migrations.Migration):
    dependencies = [("jobs", "0001_initial"), ("tenancy", "0002_walls")]

    operations = [
        tenant_table("jobs_job", resolver=True),
        resolver_function(
            "due_jobs(moment timestamptz, most integer)",
            "TABLE (tenant_id text, id uuid, queue text, type text)",
            """
            SELECT j.tenant_id::text, j.id, j.queue::text, j.type::text
              FROM (SELECT * FROM (SELECT q.tenant_id, q.id, q.queue, q.type, q.due_at AS since
                                     FROM public.jobs_job q
                                    WHERE q.state = 'queued' AND q.due_at <= moment
                                      AND q.tenant_id IN (SELECT id FROM public.tenancy_tenant WHERE is_active)
                                    ORDER BY q.due_at LIMIT most) queued
                    UNION ALL
                    SELECT * FROM (SELECT r.tenant_id, r.id, r.queue, r.type, r.lease_until AS since
                                     FROM public.jobs_job r
                                    WHERE r.state = 'running' AND r.lease_until <= moment
                                      AND r.tenant_id IN (SELECT id FROM public.tenancy_tenant WHERE is_active)
                                    ORDER BY r.lease_until LIMIT most) expired) j
             ORDER BY j.since LIMIT most
            """,
        ),
    ]
