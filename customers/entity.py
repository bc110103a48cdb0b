"""One kind of personal data: where it is, what it ages by, what erasure does to it, how a dossier shows it."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from django.apps import apps
from django.db.models import BinaryField, FileField, Q

from customers import spelling
from kaireon.lib.masking import mask
from kaireon.tenancy.managers import TenantQuerySet
from kaireon.tenancy.models import TenantModel

CLEANUP = "cleanup"
DSAR_PURGE = "dsar-purge"

# Stands in a statement for the customer it will be asked for.
_ANYBODY = UUID(int=0)
# Statements do not change while a process runs, and to make one takes longer than a small section.
_statements: dict[str, str] = {}


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
    does not age. A policy may count from one of `anchors` instead, columns that are never null. With `own_expiry` the
    clock is the moment it ends itself, whatever the policy of its class says. `subject` leads to the customer's uuid.
    `section` is its key in a dossier, None where it is derived.
    """

    name: str
    model: str
    title: str
    data_class: str
    clock: str
    erasure: Erasure
    anchors: tuple[str, ...] = ()
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

    def column(self, anchor: str) -> str:
        """What a policy with this anchor counts from: the clock, where rows have no such column."""
        return anchor if anchor in self.anchors else self.clock

    def is_past(self, before: datetime, *, column: str = "") -> Q:
        """True of the rows whose clock, or this column of theirs, stands before a moment, and whose clock has begun."""
        if column in ("", self.clock):
            return Q(**{f"{self.clock}__lt": before})
        return Q(**{f"{column}__lt": before, f"{self.clock}__isnull": False})

    def expired(self, before: datetime, *, data_class: str | None = None, column: str = "") -> TenantQuerySet[Any]:
        """The rows whose clock, or this column, stands before a moment; of one class, where rows differ in that."""
        return self.in_class(data_class or self.data_class).filter(self.is_past(before, column=column))

    def spelled_for_dossier(self, customer_pk: UUID) -> Generator[bytes]:
        """The rows about a customer as JSON objects with camelCase names, oldest first; streamed, see spelling.py."""
        for _, block in spelling.sections({self.name: self.spelled_select()}, {"customer": customer_pk}):
            yield block

    def spelled_select(self) -> str:
        """The statement of the same rows, for `spelling.sections`, of any tenant's `customer`."""
        columns = self.shown()

        def made() -> str:
            rows = self.about(_ANYBODY).order_by(self.clock, "pk").values_list(*columns.values())
            fields = {name: spelling.field_of(self.model_class, path) for name, path in columns.items()}
            return spelling.spelled(spelling.named(rows, customer=_ANYBODY), fields)

        return _kept(f"{self.name} rows", made)

    def ids_select(self) -> str:
        """The statement of their ids, in no order, likewise."""
        return _kept(
            f"{self.name} ids",
            lambda: spelling.named(self.about(_ANYBODY).values_list("pk"), customer=_ANYBODY),
        )

    def rows_for_dossier(self, customer_pk: UUID) -> Iterator[dict[str, Any]]:
        """The same, row by row. Read them to their end."""
        return spelling.objects(self.spelled_for_dossier(customer_pk))

    def masked(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A dossier row with its personal values hidden, each by its own mask."""
        formats = {camel(column): self.masks.get(column) for column in self.personal}
        return {name: _masked(value, formats[name]) if name in formats else value for name, value in row.items()}

    def shown(self) -> dict[str, str]:
        """The names in a dossier and their columns: all but the tenant, the customer and what is hidden or sealed."""
        left_out = {"tenant_id", self.subject, *self.hidden} - {"id"}
        return {
            camel(f.attname): f.attname
            for f in self.model_class._meta.concrete_fields
            if f.attname not in left_out and not isinstance(f, BinaryField)
        }


def _kept(name: str, made: Callable[[], str]) -> str:
    if name not in _statements:
        _statements[name] = made()
    return _statements[name]


def camel(column: str) -> str:
    first, *rest = column.split("_")
    return first + "".join(part.title() for part in rest)


def _masked(value: Any, as_format: str | None) -> Any:
    if isinstance(value, str):
        return mask(value, as_format=as_format) if value else value
    if isinstance(value, dict):
        return {key: _masked(item, None) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, None) for item in value]
    # A number or a truth about a person tells as much as a text.
    return None if value is None else "***"
