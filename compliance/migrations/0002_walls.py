"""Row-level security and audit for the rules, and the guards of legal hold."""

from pathlib import Path

from django.db import migrations

from audit.capture.triggers import captured
from compliance.holding.guards import guarded, guarded_by_row, guarded_contents
from kaireon.tenancy.rls import tenant_reference, tenant_table

HOLDING = Path(__file__).resolve().parent.parent / "holding"
GUARDS = (HOLDING / "guards.sql").read_text()
SCOPES = (HOLDING / "scopes.sql").read_text()
# What a hold covers is said once; its end is what changes.
HOLD_GRANTS = (
    "SELECT, INSERT, UPDATE (state, release_asked_by, release_reason, release_agreed_by, releases_at, released_at)"
)

# Tenants that are there already get their epoch; the owner is bound by the policies too, so FORCE is lifted meanwhile.
EPOCHS = """
ALTER TABLE public.tenancy_tenant NO FORCE ROW LEVEL SECURITY;
INSERT INTO public.compliance_holdepoch (id, tenant_id, epoch) SELECT gen_random_uuid(), id, 0 FROM public.tenancy_tenant;
ALTER TABLE public.tenancy_tenant FORCE ROW LEVEL SECURITY;
"""

# Table and data class; tenant-defined rows take theirs from their schema.
GUARDED = {
    "customers_interaction": "interactions",
    "customers_journeyenrollment": "interactions",
    "customers_interactionsummary": "metrics",
    "customers_decisiontrace": "decisions",
    "customers_attributionresult": "decisions",
    "customers_variantassignment": "decisions",
    "customers_customer": "profiles",
    "customers_identitylink": "profiles",
    "customers_consentrecord": "consents",
    "customers_suppression": "consents",
    "customers_suppressiontombstone": "consents",
    "customers_delivery": "deliveries",
    "customers_attachment": "attachments",
}


class Migration(migrations.Migration):
    dependencies = [("compliance", "0001_initial"), ("audit", "0002_walls"), ("customers", "0002_walls")]

    operations = [
        migrations.RunSQL(EPOCHS, ""),
        tenant_table("compliance_retentionpolicy", "SELECT, INSERT, UPDATE", resolver=True),
        tenant_table("compliance_holdepoch", "SELECT", resolver=True),
        captured("compliance_retentionpolicy", "RetentionPolicy", name="data_class"),
        tenant_table("compliance_matter", "SELECT, INSERT, UPDATE"),
        tenant_table("compliance_hold", HOLD_GRANTS, resolver=True),
        tenant_table("compliance_holdsubject", "SELECT, INSERT", resolver=True),
        tenant_table("compliance_notice", "SELECT, INSERT, UPDATE (reminded_at, reminders, acknowledged_at)"),
        tenant_reference("compliance_hold", "matter_id", "compliance_matter"),
        tenant_reference("compliance_holdsubject", "hold_id", "compliance_hold"),
        tenant_reference("compliance_notice", "hold_id", "compliance_hold"),
        captured("compliance_matter", "Matter", name="name"),
        captured("compliance_hold", "LegalHold"),
        captured("compliance_holdsubject", "HoldSubject"),
        captured("compliance_notice", "HoldNotice"),
        migrations.RunSQL(GUARDS, ""),
        migrations.RunSQL(SCOPES, ""),
        *(guarded(table, data_class) for table, data_class in GUARDED.items()),
        guarded_by_row(
            "customers_dynamicrow", "schema_id", classes="customers_dynamicschema", class_column="data_class"
        ),
        # An erasure empties the profile of rows that stay, and cuts consents loose from their customer.
        guarded_contents(
            "customers_customer",
            "profiles",
            emptied=["email", "phone", "name", "birth_date", "address", "country", "language", "attributes"],
            changed=["customer_id"],
        ),
        guarded_contents("customers_consentrecord", "consents", emptied=["source"], changed=["customer_id"]),
    ]
