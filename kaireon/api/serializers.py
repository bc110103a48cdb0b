"""Strict input: a field nobody declared is an error that names it."""

from typing import Any

from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            known = {name for name, field in self.fields.items() if not field.read_only}
            for name in data:
                if name not in known:
                    fault = f"unknown field; known are {', '.join(sorted(known))}."
                    raise serializers.ValidationError({str(name)[:64]: [fault]})
        return super().to_internal_value(data)


class ErrorSerializer(serializers.Serializer[Any]):
    """For the schema: the shape of every error."""

    code = serializers.CharField()
    message = serializers.CharField()
    status = serializers.IntegerField()
    requestId = serializers.CharField()


class ErrorBodySerializer(serializers.Serializer[Any]):
    error = ErrorSerializer()
