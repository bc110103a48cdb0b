"""The personal data itself. customers/catalogue.py says for each table what retention and erasure do to it."""

from customers.models.attachment import Attachment
from customers.models.consent import ConsentRecord, Suppression, SuppressionTombstone
from customers.models.customer import Customer, IdentityLink
from customers.models.decision import AttributionResult, DecisionTrace, VariantAssignment
from customers.models.dynamic import DynamicRow, DynamicSchema
from customers.models.engagement import EngagementDay, EngagementHealth, EngagementProgress
from customers.models.erased import ErasedSubject
from customers.models.export import ExportBatch, ExportCheckpoint, ExportEntry
from customers.models.import_run import ImportRun
from customers.models.interaction import Interaction, InteractionSummary
from customers.models.journey import Delivery, JourneyEnrollment
from customers.models.propensity import PropensityVersion, RetrainRun, RetrainSchedule
from customers.models.removal import ObjectRemoval

__all__ = [
    "Attachment",
    "AttributionResult",
    "ConsentRecord",
    "Customer",
    "DecisionTrace",
    "Delivery",
    "DynamicRow",
    "DynamicSchema",
    "EngagementDay",
    "EngagementHealth",
    "EngagementProgress",
    "ErasedSubject",
    "ExportBatch",
    "ExportCheckpoint",
    "ExportEntry",
    "IdentityLink",
    "ImportRun",
    "Interaction",
    "InteractionSummary",
    "JourneyEnrollment",
    "ObjectRemoval",
    "PropensityVersion",
    "RetrainRun",
    "RetrainSchedule",
    "Suppression",
    "SuppressionTombstone",
    "VariantAssignment",
]
