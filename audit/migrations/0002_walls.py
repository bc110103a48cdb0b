"""Capture, append-only triggers, and the tables of the layers below under audit."""

from pathlib import Path

from django.db import migrations

from audit.capture.triggers import captured

WALLS = (Path(__file__).resolve().parent.parent / "walls.sql").read_text()
KEYS = (Path(__file__).resolve().parent.parent / "sealing" / "keys.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial"), ("tenancy", "0002_walls")]

    operations = [
        migrations.RunSQL(WALLS, ""),
        migrations.RunSQL(KEYS, ""),
        captured("audit_tenantkey", "TenantKey", secret=["key_sealed"]),
        captured("tenancy_tenant", "Tenant", name="id", platform=True),
        captured(
            "tenancy_user",
            "User",
            subject="id",
            personal=["email", "name"],
            secret=["password"],
            ignore=["failed_logins", "locked_until"],
            platform=True,
        ),
        captured("tenancy_membership", "Membership", name="role"),
        captured("tenancy_apikey", "ApiKey", secret=["secret_hash"], ignore=["last_used_at"], name="name"),
    ]
