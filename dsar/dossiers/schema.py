"""The JSON Schema of a portable dossier, made from the catalogue."""

from collections.abc import Sequence
from typing import Any

from django.db import models

from customers import catalogue, spelling
from customers.entity import Entity
from customers.particulars import PARTICULARS
from dsar.dossiers.writing import SECTIONS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT = {"type": "string"}
_MOMENT = {"type": "string", "format": "date-time"}
_OWN: dict[str, dict[str, Any]] = {
    "auditLogs": {
        "id": {"type": "string", "format": "uuid"},
        "seq": {"type": "integer"},
        "timestamp": _MOMENT,
        "action": _TEXT,
        "entityType": _TEXT,
        "entityId": _TEXT,
        "changes": {"type": ["object", "null"]},
        "actorType": _TEXT,
    },
    "dsarRequests": {
        "id": {"type": "string", "format": "uuid"},
        "requestType": _TEXT,
        "subjectType": _TEXT,
        "subjectId": _TEXT,
        "regulation": _TEXT,
        "receivedAt": _MOMENT,
        "dueOn": {"type": "string", "format": "date"},
        "status": _TEXT,
        "outcome": _TEXT,
        "closedAt": {"type": ["string", "null"], "format": "date-time"},
    },
}


def document(sections: Sequence[str] = SECTIONS) -> dict[str, Any]:
    """Each section with the columns that it has today. Further ones may follow, so none are forbidden."""
    counts = {section: {"type": "integer", "minimum": 0} for section in sections}
    return {
        "$schema": DIALECT,
        "title": "Portable dossier",
        "type": "object",
        "required": ["customerId", "exportedAt", "encrypted", "data", "counts"],
        "properties": {
            "customerId": {"type": ["string", "null"]},
            "exportedAt": _MOMENT,
            "encrypted": {"const": False},
            "data": {
                "type": "object",
                "required": list(sections),
                "properties": {section: _section(section) for section in sections},
            },
            "counts": {"type": "object", "required": list(sections), "properties": counts},
        },
    }


def columns(section: str) -> list[str]:
    """The names in the rows of this section."""
    return list(dict.fromkeys(name for properties in _rows_of(section) for name in properties))


def _section(section: str) -> dict[str, Any]:
    said = PARTICULARS[section]
    rows = [
        {"type": "object", "required": list(properties), "properties": properties} for properties in _rows_of(section)
    ]
    row = rows[0] if len(rows) == 1 else {"anyOf": rows}
    about = {"title": said.title, "description": said.categories}
    if section == "profile":
        return {**about, "oneOf": [row, {"type": "null"}]}
    return {**about, "type": "array", "items": row}


def _rows_of(section: str) -> list[dict[str, Any]]:
    """What the rows of this section have, by kind of row."""
    if section in _OWN:
        return [_OWN[section]]
    return [_columns_of(entity) for entity in catalogue.shown_in(section)]


def _columns_of(entity: Entity) -> dict[str, Any]:
    fields = {name: spelling.field_of(entity.model_class, path) for name, path in entity.shown().items()}
    return {name: _type(field) for name, field in fields.items()}


def _type(field: "models.Field[Any, Any]") -> dict[str, Any]:
    if isinstance(field, models.JSONField):
        return {}
    name: Any = "string"
    if isinstance(field, models.BooleanField):
        name = "boolean"
    elif isinstance(field, models.BigIntegerField):
        # Text where a double would round it.
        name = ["integer", "string"]
    elif isinstance(field, models.IntegerField):
        name = "integer"
    if field.null:
        name = [*(name if isinstance(name, list) else [name]), "null"]
    return {"type": name, **_format(field)}


def _format(field: "models.Field[Any, Any]") -> dict[str, str]:
    if isinstance(field, models.DateTimeField):
        return {"format": "date-time"}
    if isinstance(field, models.DateField):
        return {"format": "date"}
    return {"format": "uuid"} if isinstance(field, models.UUIDField) else {}
