"""Messages stay apart by tenant; the sweep and the gauges ask the resolver two narrow questions."""

from django.db import migrations

from kaireon.tenancy.rls import resolver_function, tenant_reference, tenant_table


class Migration(migrations.Migration):
    dependencies = [("outbox", "0001_initial"), ("tenancy", "0002_walls")]

    operations = [
        tenant_table("outbox_destination"),
        tenant_table("outbox_message", resolver=True),
        tenant_table("outbox_payload"),
        tenant_table("outbox_deadletter", resolver=True),
        tenant_table("outbox_archivekey"),
        tenant_reference("outbox_message", "destination_id", "outbox_destination"),
        resolver_function(
            "outbox_due(moment timestamptz)",
            "TABLE (tenant_id text)",
            """
            SELECT t.id::text FROM public.tenancy_tenant t
             WHERE t.is_active
               AND (EXISTS (SELECT FROM public.outbox_message m
                             WHERE m.tenant_id = t.id AND m.state = 'pending' AND m.due_at <= moment)
                 OR EXISTS (SELECT FROM public.outbox_message m
                             WHERE m.tenant_id = t.id AND m.state = 'sending' AND m.lease_until <= moment))
            """,
        ),
        resolver_function(
            "dead_letter_depths()",
            "TABLE (queue text, depth bigint)",
            "SELECT d.queue::text, count(*) FROM public.outbox_deadletter d WHERE d.state = 'open' GROUP BY d.queue",
        ),
    ]
