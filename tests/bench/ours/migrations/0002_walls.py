"""The same walls for both tables; audit for one."""

from django.db import migrations

from audit.capture import captured
from kaireon.tenancy.rls import tenant_table


class Migration(migrations.Migration):
    dependencies = [("ours", "0001_initial"), ("audit", "0002_walls")]

    operations = [
        tenant_table("bench_unaudited_order"),
        tenant_table("bench_order"),
        captured("bench_order", "Order", personal=["contact_email"], exact=["amount"], name="reference"),
    ]
