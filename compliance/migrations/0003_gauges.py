"""What the gauges ask: how many tenants hold which class."""

from django.db import migrations

from kaireon.tenancy.rls import resolver_function


class Migration(migrations.Migration):
    dependencies = [("compliance", "0002_walls")]

    operations = [
        resolver_function(
            "gauge_holds()",
            "TABLE (data_class text, tenants bigint)",
            """
            SELECT p.data_class::text, count(*) FROM public.compliance_retentionpolicy p
             WHERE p.legal_hold GROUP BY 1
            """,
        ),
    ]
