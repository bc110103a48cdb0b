"""Every entity that holds personal data, once: what it ages by, what erasure does to it, where a dossier shows it.

Export, erasure, purge, hold checks and the page docs/catalogue.md walk CATALOGUE. Its order is the order of erasure:
nothing is erased before what was found through it, or what refers to it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from django.apps import apps
from django.db.models import BinaryField, Exists, FileField, OuterRef, Q

from customers.models import DynamicSchema
from kaireon.lib.canonical import exact
from kaireon.lib.masking import mask
from kaireon.tenancy.managers import TenantQuerySet
from kaireon.tenancy.models import TenantModel

CLEANUP = "cleanup"
DSAR_PURGE = "dsar-purge"

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


class Erasure(StrEnum):
    """What erasing a person does to a row."""

    DELETE = "delete"
    SHRED = "shred"  # identifiers overwritten, the row stays
    EVIDENCE = "evidence"  # cut loose from the person, kept under a keyed hash
    NONE = "none"


class NotInClass(ValueError):
    """An entity was asked for rows of a class it has none of."""


@dataclass(frozen=True, kw_only=True)
class Entity:
    """One kind of personal data.

    `name` is the wire name, as in `deletedCounts`. `clock` is the column its age counts from; a row whose clock is null
    does not age. With `own_expiry` the clock is the moment it ends itself, whatever the policy of its class says.
    `subject` leads to the customer's uuid. `section` is its key in a dossier, None where it is derived.
    """

    name: str
    model: str
    title: str
    data_class: str
    clock: str
    erasure: Erasure
    subject: str = "customer_id"
    section: str | None = None
    swept_by: tuple[str, ...] = (CLEANUP,)
    own_expiry: bool = False
    personal: tuple[str, ...] = ()
    masks: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()

    @property
    def model_class(self) -> type[TenantModel]:
        return cast(type[TenantModel], apps.get_model(self.model))

    @property
    def table(self) -> str:
        return str(self.model_class._meta.db_table)

    def file_columns(self) -> list[str]:
        """The columns that name objects in storage."""
        return [f.attname for f in self.model_class._meta.concrete_fields if isinstance(f, FileField)]

    def queryset(self) -> TenantQuerySet[Any]:
        """All rows of the active tenant."""
        return cast(TenantQuerySet[Any], self.model_class._default_manager.all())

    def about(self, customer_pk: UUID) -> TenantQuerySet[Any]:
        """The rows about one customer, by our own id of them."""
        return self.queryset().filter(**{self.subject: customer_pk})

    def data_classes(self) -> tuple[str, ...]:
        """The classes that rows of the active tenant are in."""
        return (self.data_class,)

    def in_class(self, data_class: str) -> TenantQuerySet[Any]:
        """The rows that belong to this class. Raises NotInClass."""
        if data_class != self.data_class:
            raise NotInClass(f"{self.name} is of class {self.data_class}.")
        return self.queryset()

    def expired(self, before: datetime, *, data_class: str | None = None) -> TenantQuerySet[Any]:
        """The rows whose clock stands before a moment; of one class, where rows differ in that."""
        rows = self.in_class(data_class or self.data_class)
        return rows.filter(**{f"{self.clock}__lt": before})

    def rows_for_dossier(self, customer_pk: UUID) -> Iterator[dict[str, Any]]:
        """The rows about a customer as JSON-able dicts with camelCase names, oldest first; streamed."""
        columns = self._shown()
        for values in self.about(customer_pk).order_by(self.clock, "pk").values(*columns).iterator(chunk_size=1000):
            yield {name: _plain(values[column]) for column, name in columns.items()}

    def masked(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A dossier row with its personal values hidden, each by its own mask."""
        formats = {camel(column): self.masks.get(column) for column in self.personal}
        return {name: _masked(value, formats[name]) if name in formats else value for name, value in row.items()}

    def _shown(self) -> dict[str, str]:
        """Columns and their names in a dossier: all but the tenant, the customer and what is hidden or sealed."""
        left_out = {"tenant_id", self.subject, *self.hidden} - {"id"}
        return {
            f.attname: camel(f.attname)
            for f in self.model_class._meta.concrete_fields
            if f.attname not in left_out and not isinstance(f, BinaryField)
        }


@dataclass(frozen=True, kw_only=True)
class ProfileEntity(Entity):
    """The customer. It goes when nothing refers to it any more: what is kept longer keeps its customer."""

    def expired(self, before: datetime, *, data_class: str | None = None) -> TenantQuerySet[Any]:
        referring = [e for e in CATALOGUE if e.subject == "customer_id"]
        still = Q()
        for entity in referring:
            still |= Q(Exists(entity.queryset().filter(customer_id=OuterRef("pk"))))
        return super().expired(before, data_class=data_class).exclude(still)


@dataclass(frozen=True, kw_only=True)
class SchemaEntity(Entity):
    """Rows of tenant-defined tables: class and clock are the schema's."""

    def data_classes(self) -> tuple[str, ...]:
        return tuple(sorted(set(DynamicSchema.objects.values_list("data_class", flat=True))))

    def in_class(self, data_class: str) -> TenantQuerySet[Any]:
        schemas = DynamicSchema.objects.filter(data_class=data_class).values("pk")
        return self.queryset().filter(schema__in=schemas)

    def expired(self, before: datetime, *, data_class: str | None = None) -> TenantQuerySet[Any]:
        """Raises NotInClass without a class: each row is judged by its own."""
        if data_class is None:
            raise NotInClass(f"{self.name} is of several classes: name one.")
        return self.in_class(data_class).filter(clock_at__lt=before)

    def rows_for_dossier(self, customer_pk: UUID) -> Iterator[dict[str, Any]]:
        names = dict(DynamicSchema.objects.values_list("pk", "name"))
        for row in super().rows_for_dossier(customer_pk):
            yield {"schema": names[UUID(row.pop("schemaId"))], **row}


@dataclass(frozen=True, kw_only=True)
class RunEntity(Entity):
    """A pipeline run. It goes when no checkpoint refers to it any more: one that is held keeps its run."""

    def expired(self, before: datetime, *, data_class: str | None = None) -> TenantQuerySet[Any]:
        checkpoints = apps.get_model("flows.FlowCheckpoint")._default_manager.filter(run=OuterRef("pk"))
        return super().expired(before, data_class=data_class).exclude(Exists(checkpoints))


# Derived from work on data and about nobody: cleanup sweeps it by its class, no dossier and no erasure looks at it.
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
        erasure=Erasure.DELETE,
    ),
)

CATALOGUE: tuple[Entity, ...] = (
    Entity(
        name="interactionHistory",
        model="customers.Interaction",
        title="Interaction history",
        data_class="interactions",
        clock="occurred_at",
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
        erasure=Erasure.DELETE,
        section="summaries",
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
        erasure=Erasure.SHRED,
        subject="customer_ref",
        section="dsarRequests",
        personal=("subject_sealed",),
        hidden=("subject_key", "pseudonym", "job_ref"),
    ),
    Entity(
        name="identityLink",
        model="customers.IdentityLink",
        title="Identity link",
        data_class="profiles",
        clock="last_seen_at",
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
        erasure=Erasure.DELETE,
        subject="id",
        section="profile",
        personal=("email", "phone", "name", "birth_date", "address", "attributes"),
        masks={"email": "email", "phone": "phone", "birth_date": "date", "name": "text", "address": "text"},
        hidden=("name_key",),
    ),
)

# Tenant models of customers and dsar that hold nobody's data, and why. A test fails for a model in neither list.
EXEMPT: dict[str, str] = {
    "customers.DynamicSchema": "The definition of a table; its rows are in the catalogue.",
    "customers.SuppressionTombstone": "A keyed hash and a channel: what erasure leaves so that a suppression lasts.",
    "customers.ImportRun": "The position in a file, known by its hash.",
    "customers.ObjectRemoval": "The random name of an object that must be gone, emptied when it is.",
}


def entity(name: str) -> Entity:
    """The entity of this wire name. Raises KeyError."""
    return {e.name: e for e in CATALOGUE}[name]


def camel(column: str) -> str:
    first, *rest = column.split("_")
    return first + "".join(part.title() for part in rest)


def _plain(value: object) -> Any:
    return exact(value)


def _masked(value: Any, as_format: str | None) -> Any:
    if isinstance(value, str):
        return mask(value, as_format=as_format) if value else value
    if isinstance(value, dict):
        return {key: _masked(item, None) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, None) for item in value]
    # A number or a truth about a person tells as much as a text.
    return None if value is None else "***"
