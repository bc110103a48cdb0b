"""What the gauges ask about open requests of all tenants. The resolver sees their dates and nothing of the subject."""

from django.db import migrations, models

from kaireon.tenancy.rls import RESOLVER, resolver_function


class Migration(migrations.Migration):
    dependencies = [("dsar", "0002_walls")]

    operations = [
        migrations.AddIndex(
            model_name="dsarrequest",
            index=models.Index(
                condition=models.Q(("status", "completed"), _negated=True),
                fields=["status", "tenant", "due_on", "received_at"],
                name="dsar_unanswered",
            ),
        ),
        migrations.RunSQL(
            f"""
            CREATE POLICY resolver ON public.dsar_dsarrequest FOR SELECT TO {RESOLVER} USING (status <> 'completed');
            GRANT SELECT (tenant_id, status, due_on, received_at) ON public.dsar_dsarrequest TO {RESOLVER};
            """,
            "",
        ),
        resolver_function(
            "gauge_requests(moment timestamptz)",
            "TABLE (status text, requests bigint, overdue bigint, oldest timestamptz)",
            """
            SELECT r.status::text, count(*),
                   count(*) FILTER (WHERE r.due_on < (moment AT TIME ZONE t.time_zone)::date), min(r.received_at)
              FROM public.dsar_dsarrequest r JOIN public.tenancy_tenant t ON t.id = r.tenant_id
             WHERE r.status <> 'completed' GROUP BY 1
            """,
        ),
    ]
