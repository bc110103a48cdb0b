"""Tables that tenants define themselves: the definition, and rows about customers."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from customers.models.base import AboutCustomer
from kaireon.lib import clock
from kaireon.tenancy.models import TenantModel

FIELD_TYPES = ("text", "number", "boolean", "date", "datetime")


class DynamicSchema(TenantModel):
    """A tenant's own table: `fields` is a list of {name, type, personal}."""

    name = models.SlugField(max_length=64, db_index=False)
    label = models.CharField(max_length=128, blank=True, default="")
    fields = models.JSONField(default=list)
    data_class = models.CharField(max_length=32, help_text="The retention class its rows belong to.")
    clock_field = models.CharField(
        max_length=64, blank=True, default="", help_text="The date in a row its age counts from; empty: its creation."
    )
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="dynamic_schema_name_once")]

    def __str__(self) -> str:
        return self.label or self.name

    def clean(self) -> None:
        """Raises ValidationError for a field list that is not one, an unknown type, or a clock that is no date."""
        if not isinstance(self.fields, list) or not all(isinstance(f, dict) and f.get("name") for f in self.fields):
            raise ValidationError({"fields": "Give a list of {name, type, personal}."})
        types = {f["name"]: f.get("type", "text") for f in self.fields}
        if len(types) != len(self.fields) or not set(types.values()) <= set(FIELD_TYPES):
            raise ValidationError({"fields": f"Names must differ, types be among {', '.join(FIELD_TYPES)}."})
        if self.clock_field and types.get(self.clock_field) not in ("date", "datetime"):
            raise ValidationError({"clock_field": "Name a field of type date or datetime."})

    def personal_fields(self) -> list[str]:
        """The fields whose values are about a person; all of them when the tenant did not say."""
        return [f["name"] for f in self.fields if f.get("personal", True)]

    def clock_of(self, data: dict[str, Any], *, otherwise: datetime) -> datetime:
        """The moment a row's age counts from; `otherwise` when the row does not say."""
        text = data.get(self.clock_field) if self.clock_field else None
        try:
            moment = datetime.fromisoformat(text) if isinstance(text, str) else otherwise
        except ValueError:
            return otherwise
        return clock.in_utc(moment) if moment.tzinfo else moment.replace(tzinfo=otherwise.tzinfo)


class DynamicRow(AboutCustomer):
    """A row of a tenant's own table. `clock_at` repeats the schema's clock field, where an index can find it."""

    schema = models.ForeignKey(
        DynamicSchema, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    row_key = models.CharField(max_length=128, blank=True, default="")
    data = models.JSONField(default=dict)
    clock_at = models.DateTimeField(default=clock.now)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta(AboutCustomer.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "schema", "row_key"], condition=~models.Q(row_key=""), name="dynamic_row_once"
            )
        ]
        indexes = [
            models.Index(fields=["tenant", "customer"], name="dynamic_row_by_customer"),
            models.Index(fields=["tenant", "schema", "clock_at"], name="dynamic_row_by_clock"),
        ]
