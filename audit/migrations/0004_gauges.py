"""What the gauges ask: how much waits to be sequenced, and when which log was last verified, across tenants.

The resolver sees no contents: of the inbox whose, numbers and times, of the log the records of verifications alone.
"""

from django.db import migrations, models

from kaireon.tenancy.rls import RESOLVER, resolver_function

WINDOWS = f"""
CREATE POLICY resolver ON public.audit_inbox FOR SELECT TO {RESOLVER} USING (true);
GRANT SELECT (tenant_id, id, "timestamp") ON public.audit_inbox TO {RESOLVER};
CREATE POLICY resolver ON public.audit_head FOR SELECT TO {RESOLVER} USING (true);
GRANT SELECT (tenant_id, seq) ON public.audit_head TO {RESOLVER};
CREATE POLICY resolver ON public.audit_record FOR SELECT TO {RESOLVER} USING (action = 'audit_log.verify');
GRANT SELECT (tenant_id, seq, action, changes, "timestamp") ON public.audit_record TO {RESOLVER};
"""


# By which people search, see audit/search.py: equality on a column, in the order of the log. All but request_id grow at
# few places only, which is cheap to write.
SEARCHED = """
CREATE INDEX audit_record_action ON public.audit_record (tenant_id, action, seq);
CREATE INDEX audit_record_user_id ON public.audit_record (tenant_id, user_id, seq);
CREATE INDEX audit_record_user_name ON public.audit_record (tenant_id, user_name, seq);
CREATE INDEX audit_record_request ON public.audit_record (tenant_id, request_id, seq);
CREATE INDEX audit_record_time ON public.audit_record (tenant_id, "timestamp", seq);
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_approvals")]

    operations = [
        migrations.AddIndex(
            model_name="auditrecord",
            index=models.Index(
                condition=models.Q(("action", "audit_log.verify")),
                fields=["tenant", "-seq"],
                name="audit_verifications",
            ),
        ),
        migrations.RunSQL(SEARCHED, ""),
        migrations.RunSQL(WINDOWS, ""),
        resolver_function(
            "gauge_inbox(most integer)",
            "TABLE (records bigint, oldest timestamptz)",
            # From tenant to tenant along the key: the first record of each is its oldest.
            """
            WITH RECURSIVE waiting AS (
                (SELECT i.tenant_id, i."timestamp" FROM public.audit_inbox i ORDER BY i.tenant_id, i.id LIMIT 1)
                UNION ALL
                SELECT n.tenant_id, n."timestamp" FROM waiting w CROSS JOIN LATERAL (
                    SELECT i.tenant_id, i."timestamp" FROM public.audit_inbox i
                     WHERE i.tenant_id > w.tenant_id ORDER BY i.tenant_id, i.id LIMIT 1) n
            )
            SELECT (SELECT count(*) FROM (SELECT FROM public.audit_inbox LIMIT most) counted),
                   (SELECT min(w."timestamp") FROM waiting w)
            """,
        ),
        resolver_function(
            "gauge_logs()",
            "TABLE (records numeric, intact bigint, broken bigint, unverified bigint, newest timestamptz,"
            " oldest timestamptz)",
            # A look at the last records proves nothing about those before, but a fault that it finds is one.
            """
            SELECT coalesce(sum(h.seq), 0), count(*) FILTER (WHERE v.intact), count(*) FILTER (WHERE NOT v.intact),
                   count(*) FILTER (WHERE v.at IS NULL), max(v.at), min(v.at)
              FROM public.audit_head h LEFT JOIN LATERAL (
                SELECT (r.changes ->> 'intact')::boolean AS intact, r."timestamp" AS at
                  FROM public.audit_record r
                 WHERE r.tenant_id = h.tenant_id AND r.action = 'audit_log.verify'
                   AND (r.changes ->> 'intact' = 'false' OR coalesce(r.changes ->> 'window', 'false') = 'false')
                 ORDER BY r.seq DESC LIMIT 1) v ON true
            """,
        ),
    ]
