"""Every entity that holds personal data, once: what it ages by, what erasure does to it, where a dossier shows it.

Export, erasure, purge, hold checks and the page docs/catalogue.md walk CATALOGUE. Its order is the order of erasure:
nothing is erased before what was found through it, or what refers to it.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.apps import apps
from django.db.models import Exists, OuterRef, Q

from customers.entity import CLEANUP, DSAR_PURGE, Entity, Erasure, NotInClass, camel
from customers.models import DynamicSchema
from kaireon.lib.canonical import canonical
from kaireon.tenancy.managers import TenantQuerySet

__all__ = [
    "CATALOGUE",
    "CLEANUP",
    "DATA_CLASSES",
    "DERIVED",
    "DSAR_PURGE",
    "SAID",
    "Entity",
    "Erasure",
    "NotInClass",
    "anchors",
    "camel",
    "digest",
    "entity",
    "said",
    "shown_in",
]

# What a retention policy may be made for. The first four are the seed of every installation; others extend them.
DATA_CLASSES: dict[str, str] = {
    "interactions": "What customers did: interactions, journeys",
    "decisions": "What was decided about customers: traces, attribution, variants",
    "metrics": "Sums and figures derived from interactions",
    "audit": "The audit log, in whole sealed prefixes",
    "profiles": "Customer profiles and their identity links",
    "consents": "Consent records and suppressions",
    "deliveries": "Messages sent",
    "attachments": "Files and their objects in storage",
    "dsar": "Requests of data subjects and their dossiers",
    "security": "Security signals",
    "jobs": "Outbox and dead letters",
}


@dataclass(frozen=True, kw_only=True)
class ProfileEntity(Entity):
    """The customer. It goes when nothing refers to it any more: what is kept longer keeps its customer."""

    def expired(self, before: datetime, *, data_class: str | None = None, column: str = "") -> TenantQuerySet[Any]:
        referring = [e for e in CATALOGUE if e.subject == "customer_id"]
        still = Q()
        for entity in referring:
            still |= Q(Exists(entity.queryset().filter(customer_id=OuterRef("pk"))))
        return super().expired(before, data_class=data_class, column=column).exclude(still)


@dataclass(frozen=True, kw_only=True)
class SchemaEntity(Entity):
    """Rows of tenant-defined tables: class and clock are the schema's."""

    def data_classes(self) -> tuple[str, ...]:
        return tuple(sorted(set(DynamicSchema.objects.values_list("data_class", flat=True))))

    def in_class(self, data_class: str) -> TenantQuerySet[Any]:
        schemas = DynamicSchema.objects.filter(data_class=data_class).values("pk")
        return self.queryset().filter(schema__in=schemas)

    def expired(self, before: datetime, *, data_class: str | None = None, column: str = "") -> TenantQuerySet[Any]:
        """Raises NotInClass without a class: each row is judged by its own."""
        if data_class is None:
            raise NotInClass(f"{self.name} is of several classes: name one.")
        return super().expired(before, data_class=data_class, column=column)

    def shown(self) -> dict[str, str]:
        return {"schema": "schema__name"} | {n: column for n, column in super().shown().items() if n != "schemaId"}


@dataclass(frozen=True, kw_only=True)
class RunEntity(Entity):
    """A pipeline run. It goes when no checkpoint refers to it any more: one that is held keeps its run."""

    def expired(self, before: datetime, *, data_class: str | None = None, column: str = "") -> TenantQuerySet[Any]:
        checkpoints = apps.get_model("flows.FlowCheckpoint")._default_manager.filter(run=OuterRef("pk"))
        return super().expired(before, data_class=data_class, column=column).exclude(Exists(checkpoints))


# Derived from work on data and about no subject: cleanup sweeps it by its class, and no dossier looks at it.
DERIVED: tuple[Entity, ...] = (
    Entity(
        name="flowCheckpoint",
        model="flows.FlowCheckpoint",
        title="Checkpoint of a pipeline run",
        data_class="metrics",
        clock="finished_at",
        erasure=Erasure.DELETE,
    ),
    RunEntity(
        name="flowRun",
        model="flows.FlowRun",
        title="Pipeline run and its counts",
        data_class="metrics",
        clock="finished_at",
        anchors=("created_at",),
        erasure=Erasure.DELETE,
    ),
    Entity(
        name="securitySignal",
        model="compliance.SecuritySignal",
        title="Security signal",
        data_class="security",
        clock="raised_at",
        anchors=("occurred_at",),
        erasure=Erasure.DELETE,
    ),
)

# No reference leads from these to a person whom they may name: an erasure finds them by what they say, beside messages
# that were published about nobody. See dsar/erasing/contents.py.
SAID: tuple[Entity, ...] = (
    Entity(
        name="idempotencyAnswer",
        model="tenancy.IdempotencyKey",
        title="Answer kept for an Idempotency-Key",
        data_class="jobs",
        clock="expires_at",
        own_expiry=True,
        erasure=Erasure.SHRED,
        personal=("answer", "fingerprint"),
    ),
    *(entity for entity in DERIVED if entity.name == "flowCheckpoint"),
    # Beside the row itself, which goes with its class: whoever acknowledged it may have written a name down.
    Entity(
        name="signalNote",
        model="compliance.SecuritySignal",
        title="Note on a security signal",
        data_class="security",
        clock="raised_at",
        erasure=Erasure.SHRED,
        personal=("note_sealed",),
    ),
)

CATALOGUE: tuple[Entity, ...] = (
    Entity(
        name="interactionHistory",
        model="customers.Interaction",
        title="Interaction history",
        data_class="interactions",
        clock="occurred_at",
        anchors=("created_at",),
        erasure=Erasure.DELETE,
        section="interactions",
        swept_by=(CLEANUP, DSAR_PURGE),
        personal=("external_id", "context"),
    ),
    Entity(
        name="decisionTrace",
        model="customers.DecisionTrace",
        title="Decision trace",
        data_class="decisions",
        clock="decided_at",
        anchors=("created_at",),
        erasure=Erasure.DELETE,
        section="decisionTraces",
        swept_by=(CLEANUP, DSAR_PURGE),
        personal=("inputs", "reasons"),
    ),
    Entity(
        name="interactionSummary",
        model="customers.InteractionSummary",
        title="Interaction summary",
        data_class="metrics",
        clock="period_end",
        anchors=("created_at",),
        erasure=Erasure.DELETE,
        section="summaries",
    ),
    Entity(
        name="engagementHealth",
        model="customers.EngagementHealth",
        title="Engagement health",
        data_class="metrics",
        clock="period_end",
        anchors=("created_at",),
        erasure=Erasure.DELETE,
        section="summaries",
        hidden=("lively", "steady"),
    ),
    Entity(
        name="attributionResult",
        model="customers.AttributionResult",
        title="Attribution result",
        data_class="decisions",
        clock="recorded_at",
        erasure=Erasure.DELETE,
        section="attributionResults",
        personal=("conversion",),
    ),
    Entity(
        name="variantAssignment",
        model="customers.VariantAssignment",
        title="Variant assignment",
        data_class="decisions",
        clock="recorded_at",
        erasure=Erasure.DELETE,
        section="variantAssignments",
    ),
    Entity(
        name="journeyEnrollment",
        model="customers.JourneyEnrollment",
        title="Journey enrolment",
        data_class="interactions",
        clock="ended_at",
        anchors=("entered_at",),
        erasure=Erasure.DELETE,
        section="journeyEnrollments",
    ),
    Entity(
        name="delivery",
        model="customers.Delivery",
        title="Delivery",
        data_class="deliveries",
        clock="sent_at",
        erasure=Erasure.DELETE,
        section="deliveries",
        personal=("destination", "provider_id"),
    ),
    Entity(
        name="attachment",
        model="customers.Attachment",
        title="Attachment and its object",
        data_class="attachments",
        clock="uploaded_at",
        erasure=Erasure.DELETE,
        section="attachments",
        swept_by=(CLEANUP, DSAR_PURGE),
        personal=("name", "sha256"),
        hidden=("file",),
    ),
    SchemaEntity(
        name="dynamicSchemaRows",
        model="customers.DynamicRow",
        title="Tenant-defined row",
        data_class="",
        clock="clock_at",
        anchors=("created_at",),
        erasure=Erasure.DELETE,
        section="dynamicSchemaRows",
        personal=("data", "row_key"),
    ),
    Entity(
        name="suppression",
        model="customers.Suppression",
        title="Suppression",
        data_class="consents",
        clock="expires_at",
        erasure=Erasure.DELETE,
        section="suppressions",
        personal=("reason",),
    ),
    Entity(
        name="consentRecord",
        model="customers.ConsentRecord",
        title="Consent record",
        data_class="consents",
        clock="withdrawn_at",
        erasure=Erasure.EVIDENCE,
        section="consentRecords",
        personal=("source",),
        hidden=("subject_key", "email_key"),
    ),
    Entity(
        name="outboxPayload",
        model="outbox.Payload",
        title="Payload of a message or dead letter",
        data_class="jobs",
        clock="finished_at",
        erasure=Erasure.DELETE,
        subject="subject_ref",
        personal=("sealed",),
    ),
    Entity(
        name="archivedDeadLetter",
        model="outbox.ArchiveKey",
        title="Key of an archived dead letter's payload",
        data_class="jobs",
        clock="archived_at",
        erasure=Erasure.DELETE,
        subject="subject_ref",
        personal=("key_sealed",),
    ),
    Entity(
        name="letterText",
        model="dsar.LetterText",
        title="Letter to a data subject",
        data_class="dsar",
        clock="settled_at",
        erasure=Erasure.DELETE,
        subject="customer_ref",
        personal=("sealed",),
    ),
    Entity(
        name="publicFiling",
        model="dsar.PublicFiling",
        title="What somebody asks for on the public page, before their code has come back",
        data_class="dsar",
        clock="ends_at",
        own_expiry=True,
        erasure=Erasure.DELETE,
        subject="subject_ref",
        personal=("sealed",),
    ),
    Entity(
        name="dossier",
        model="dsar.Dossier",
        title="Dossier",
        data_class="dsar",
        clock="expires_at",
        own_expiry=True,
        erasure=Erasure.DELETE,
        subject="customer_ref",
    ),
    Entity(
        name="dsarRequest",
        model="dsar.DsarRequest",
        title="Request of a data subject",
        data_class="dsar",
        clock="closed_at",
        anchors=("received_at",),
        erasure=Erasure.SHRED,
        subject="customer_ref",
        section="dsarRequests",
        personal=("subject_sealed", "notes_sealed"),
        hidden=("subject_key", "pseudonym", "job_ref", "clock_terms"),
    ),
    Entity(
        name="identityLink",
        model="customers.IdentityLink",
        title="Identity link",
        data_class="profiles",
        clock="last_seen_at",
        anchors=("first_seen_at",),
        erasure=Erasure.DELETE,
        section="identityLinks",
        personal=("value", "source"),
    ),
    ProfileEntity(
        name="customer",
        model="customers.Customer",
        title="Customer profile",
        data_class="profiles",
        clock="last_activity_at",
        anchors=("created_at", "updated_at"),
        erasure=Erasure.DELETE,
        subject="id",
        section="profile",
        personal=("email", "phone", "name", "birth_date", "address", "attributes"),
        masks={"email": "email", "phone": "phone", "birth_date": "date", "name": "text", "address": "text"},
        hidden=("name_key",),
    ),
)


def digest() -> str:
    """The SHA-256 of what the catalogue says of each entity, in hex: the version of it that something was done by."""
    entities = (*CATALOGUE, *DERIVED, *(entity for entity in SAID if entity not in DERIVED))
    about = [[e.name, e.model, e.data_class, e.clock, e.erasure.value, e.subject, e.section] for e in entities]
    return sha256(canonical(about)).hexdigest()


def anchors(data_class: str) -> tuple[str, ...]:
    """What a policy of this class may count from beside the clock. Rows without the column keep to their clock."""
    of_class = (entity for entity in (*CATALOGUE, *DERIVED) if data_class in entity.data_classes())
    return tuple(sorted({column for entity in of_class for column in entity.anchors}))


def entity(name: str) -> Entity:
    """The entity of this wire name. Raises KeyError."""
    return {e.name: e for e in CATALOGUE}[name]


def shown_in(section: str) -> tuple[Entity, ...]:
    """The entities whose rows fill this section of a dossier."""
    return tuple(e for e in CATALOGUE if e.section == section)


def said(name: str) -> Entity:
    """The one of SAID with this wire name. Raises KeyError."""
    return {e.name: e for e in SAID}[name]
