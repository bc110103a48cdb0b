"""Months, row-level security, references within the tenant, and capture."""

from django.db import migrations

from audit.capture.triggers import captured, captured_in_bulk
from kaireon.tenancy.rls import month_partitioned, tenant_reference, tenant_table

PARTITIONED = {
    "customers_interaction": "occurred_at",
    "customers_interactionsummary": "period_end",
    "customers_decisiontrace": "decided_at",
}
ABOUT_CUSTOMER = [
    "customers_interaction",
    "customers_interactionsummary",
    "customers_decisiontrace",
    "customers_attributionresult",
    "customers_variantassignment",
    "customers_consentrecord",
    "customers_suppression",
    "customers_identitylink",
    "customers_journeyenrollment",
    "customers_delivery",
    "customers_attachment",
    "customers_dynamicrow",
]
TABLES = [
    "customers_customer",
    "customers_dynamicschema",
    *ABOUT_CUSTOMER,
    "customers_suppressiontombstone",
    "customers_importrun",
    "customers_objectremoval",
]


class Migration(migrations.Migration):
    dependencies = [("customers", "0001_initial"), ("tenancy", "0002_walls"), ("audit", "0002_walls")]

    operations = [
        *(month_partitioned(table, column) for table, column in PARTITIONED.items()),
        *(tenant_table(table) for table in TABLES),
        *(tenant_reference(table, "customer_id", "customers_customer") for table in ABOUT_CUSTOMER),
        tenant_reference("customers_dynamicrow", "schema_id", "customers_dynamicschema"),
        captured(
            "customers_customer",
            "Customer",
            subject="id",
            personal=[
                "customer_id",
                "email",
                "phone",
                "name",
                "birth_date",
                "address",
                "country",
                "language",
                "attributes",
            ],
            # `name_key` repeats `name`. The last activity follows from interactions, which are recorded themselves.
            ignore=["name_key", "last_activity_at", "updated_at"],
        ),
        captured_in_bulk("customers_interaction", "Interaction", range_column="occurred_at"),
        captured_in_bulk("customers_interactionsummary", "InteractionSummary", range_column="period_end"),
        captured_in_bulk("customers_decisiontrace", "DecisionTrace", range_column="decided_at"),
        captured_in_bulk("customers_delivery", "Delivery", range_column="sent_at"),
        captured(
            "customers_attributionresult",
            "AttributionResult",
            subject="customer_id",
            personal=["conversion"],
            exact=["credit", "amount"],
        ),
        captured("customers_variantassignment", "VariantAssignment"),
        captured("customers_consentrecord", "ConsentRecord", subject="customer_id", personal=["source"]),
        captured("customers_suppression", "Suppression", subject="customer_id", personal=["reason"]),
        captured("customers_suppressiontombstone", "SuppressionTombstone"),
        captured(
            "customers_identitylink",
            "IdentityLink",
            subject="customer_id",
            personal=["value", "source"],
            ignore=["last_seen_at"],
        ),
        captured("customers_journeyenrollment", "JourneyEnrollment"),
        captured(
            "customers_attachment",
            "Attachment",
            subject="customer_id",
            personal=["name", "file", "sha256"],
            exact=["size"],
        ),
        # The object's name is the key to the bytes: what is left of it in the log must not find them.
        captured("customers_objectremoval", "ObjectRemoval", personal=["object_name"], ignore=["failures"]),
        captured("customers_dynamicschema", "DynamicSchema", name="name"),
        captured("customers_dynamicrow", "DynamicRow", subject="customer_id", personal=["data", "row_key"]),
        captured(
            "customers_importrun",
            "ImportRun",
            # The position moves with every batch; start and end are what happened.
            ignore=["offset", "line", "created", "updated", "unchanged", "rejected", "rejects_size", "updated_at"],
            exact=["size"],
        ),
    ]
