"""Walls and capture of exports, and the order in which interactions became visible: see customers/exporting/arrivals.py.

Interactions that are there already were committed before any that come: they have the number 0.
"""

from django.db import migrations

from audit.capture.triggers import captured
from kaireon.tenancy.rls import resolver_function, tenant_table

# A constant, so that PostgreSQL puts it into the default instead of calling it for each row.
ARRIVALS = """
CREATE FUNCTION public.interaction_offset() RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT 0::bigint';
REVOKE ALL ON FUNCTION public.interaction_offset() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.interaction_offset() TO kaireon_app;
ALTER TABLE public.customers_interaction ADD COLUMN arrival bigint NOT NULL DEFAULT 0;
ALTER TABLE public.customers_interaction ALTER COLUMN arrival
    SET DEFAULT (public.interaction_offset() + (pg_catalog.pg_current_xact_id())::text::bigint);
CREATE INDEX interaction_by_arrival ON public.customers_interaction (tenant_id, arrival, id);
"""
NO_ARRIVALS = """
DROP INDEX public.interaction_by_arrival;
ALTER TABLE public.customers_interaction DROP COLUMN arrival;
DROP FUNCTION public.interaction_offset();
"""


class Migration(migrations.Migration):
    dependencies = [("customers", "0007_exports"), ("tenancy", "0002_walls"), ("audit", "0002_walls")]

    operations = [
        migrations.RunSQL(ARRIVALS, NO_ARRIVALS),
        tenant_table("customers_exportcheckpoint", resolver=True),
        tenant_table("customers_exportbatch"),
        tenant_table("customers_exportentry"),
        captured(
            "customers_exportcheckpoint",
            "ExportCheckpoint",
            # The place moves with every batch, whose own record says what left.
            ignore=["arrival", "last_id", "batches", "entries", "head", "caught_up_at"],
        ),
        captured("customers_exportbatch", "ExportBatch", ignore=["subjects"], exact=["number", "size"]),
        captured("customers_exportentry", "ExportEntry", ignore=["content", "written_at"], exact=["number"]),
        resolver_function(
            "gauge_exports()",
            "TABLE (caught_up timestamptz, failed bigint)",
            "SELECT min(coalesce(caught_up_at, created_at)), count(failed_at) FROM public.customers_exportcheckpoint",
        ),
    ]
