"""What a policy's versions may say, and that they stay."""

from pathlib import Path

from django.db import migrations

from audit.capture.triggers import captured
from kaireon.tenancy.rls import APPEND_ONLY, tenant_reference, tenant_table

RULES = (Path(__file__).resolve().parent.parent / "retention" / "versions.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("compliance", "0006_policy_versions"), ("audit", "0002_walls"), ("approvals", "0002_walls")]

    operations = [
        tenant_table("compliance_policyversion", APPEND_ONLY),
        tenant_reference("compliance_policyversion", "policy_id", "compliance_retentionpolicy"),
        tenant_reference("compliance_policyversion", "replaces_id", "compliance_policyversion"),
        captured("compliance_policyversion", "PolicyVersion", name="data_class"),
        migrations.RunSQL(RULES, ""),
    ]
