"""Strict input: a field nobody declared is an error that names it, and so is a value of another JSON type."""

from typing import Any

from rest_framework import serializers

# The code of a field that nobody declared: its name is the sender's own.
UNKNOWN_FIELD = "unknown_field"


class StrictSerializer(serializers.Serializer[Any]):
    def get_fields(self) -> Any:
        fields = super().get_fields()
        for field in fields.values():
            one = field.child if isinstance(field, serializers.ListField) else field
            if isinstance(one, serializers.ChoiceField):
                one.error_messages["invalid_choice"] = f"must be one of {', '.join(map(str, one.choices))}."
        return fields

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            known = {name for name, field in self.fields.items() if not field.read_only}
            for name in data:
                if name not in known:
                    fault = f"unknown field; known are {', '.join(sorted(known))}."
                    raise serializers.ValidationError({str(name)[:64]: [fault]}, code=UNKNOWN_FIELD)
            for name, value in data.items():
                if fault := _type_fault(self.fields[name], value):
                    raise serializers.ValidationError({name: [fault]})
        return super().to_internal_value(data)


def _type_fault(field: Any, value: object) -> str:
    """What the framework would make fit: a number that is taken for a text, a text for a truth."""
    if value is None:
        return ""
    if isinstance(field, serializers.CharField) and not isinstance(value, str):
        return "must be text."
    if isinstance(field, serializers.BooleanField) and not isinstance(value, bool):
        return "must be true or false."
    return ""


# A page of a list, beside what it lists. A docstring would stand in the schema of each.
class PageOut(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    page = serializers.IntegerField()
    limit = serializers.IntegerField()


class ErrorSerializer(serializers.Serializer[Any]):
    """For the schema: the shape of every error."""

    code = serializers.CharField()
    message = serializers.CharField()
    status = serializers.IntegerField()
    requestId = serializers.CharField()


class ErrorBodySerializer(serializers.Serializer[Any]):
    error = ErrorSerializer()
