"""What may be published: each topic's name and the JSON schema of its payload. Layers above register theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker


class UnknownTopic(LookupError):
    """No topic of this name is registered. The app that has it must register it in `AppConfig.ready`."""


class TopicTaken(ValueError):
    """Two different topics were registered under one name."""


class PayloadOffSchema(ValueError):
    """The payload is not what its topic's schema says. Names the broken rule of the schema, never a value."""


@dataclass(frozen=True, kw_only=True)
class Topic:
    name: str
    schema: Mapping[str, Any]

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return Draft202012Validator(self.schema, format_checker=FormatChecker())

    def validate(self, payload: object) -> None:
        """Raises PayloadOffSchema."""
        fault = next(iter(self._validator.iter_errors(payload)), None)
        if fault is not None:
            rule = "/".join(str(step) for step in fault.absolute_schema_path)
            # `from None`: the validator's own message quotes the value.
            raise PayloadOffSchema(f"{self.name}: the payload breaks {rule} of its schema.") from None


# An e-mail is an ordinary message whose destination knows these fields.
MAIL: dict[str, Any] = {
    "type": "object",
    "properties": {
        "to": {"type": "array", "items": {"type": "string", "maxLength": 254}, "minItems": 1, "maxItems": 50},
        "subject": {"type": "string", "minLength": 1, "maxLength": 200},
        "text": {"type": "string"},
        "html": {"type": "string"},
    },
    "required": ["to", "subject", "text"],
    "additionalProperties": False,
}

TOPICS: dict[str, Topic] = {"mail": Topic(name="mail", schema=MAIL)}


def register(name: str, *, schema: Mapping[str, Any]) -> Topic:
    """Let `name` be published, with payloads that fit the JSON Schema (draft 2020-12).

    Raises TopicTaken, and jsonschema.SchemaError for what is no schema.
    """
    Draft202012Validator.check_schema(dict(schema))
    topic = Topic(name=name, schema=schema)
    if TOPICS.setdefault(name, topic) != topic:
        raise TopicTaken(name)
    return TOPICS[name]


def get(name: str) -> Topic:
    """Raises UnknownTopic."""
    try:
        return TOPICS[name]
    except KeyError as e:
        raise UnknownTopic(name) from e
