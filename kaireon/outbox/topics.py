"""What may be published: each topic's name and the JSON schema of its payload. Layers above register theirs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker


class UnknownTopic(LookupError):
    """No topic of this name is registered. The app that has it must register it in `AppConfig.ready`."""


class TopicTaken(ValueError):
    """Two different topics were registered under one name."""


class PayloadOffSchema(ValueError):
    """The payload is not what its topic's schema says. Names the broken rule of the schema, never a value."""


class Settled(Protocol):
    """What is told of the end of a message, in its transaction. One that is replayed after its death ends again."""

    def __call__(self, message_id: UUID, *, delivered: bool, error: str, now: datetime) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Topic:
    """`settled` hears of each of its messages that was delivered or died.

    `outlives` says that its messages tell of somebody's erasure, and so have to arrive after it, with the name: who
    publishes them sees to it that they go as soon as they have arrived.
    """

    name: str
    schema: Mapping[str, Any]
    settled: Settled | None = None
    outlives: bool = False

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


def register(name: str, *, schema: Mapping[str, Any], settled: Settled | None = None, outlives: bool = False) -> Topic:
    """Let `name` be published, with payloads that fit the JSON Schema (draft 2020-12); `settled` hears of their ends.

    Raises TopicTaken, and jsonschema.SchemaError for what is no schema.
    """
    Draft202012Validator.check_schema(dict(schema))
    topic = Topic(name=name, schema=schema, settled=settled, outlives=outlives)
    if TOPICS.setdefault(name, topic) != topic:
        raise TopicTaken(name)
    return TOPICS[name]


def watched() -> list[str]:
    """The topics whose ends somebody wants to hear of."""
    return [topic.name for topic in TOPICS.values() if topic.settled is not None]


def outliving() -> list[str]:
    """The topics whose messages an erasure does not look into."""
    return [topic.name for topic in TOPICS.values() if topic.outlives]


def tell(name: str, message_id: UUID, *, delivered: bool, error: str = "", now: datetime) -> None:
    """Say that a message of this topic was delivered or died, to who wants to hear of it."""
    known = TOPICS.get(name)
    if known is not None and known.settled is not None:
        known.settled(message_id, delivered=delivered, error=error, now=now)


def get(name: str) -> Topic:
    """Raises UnknownTopic."""
    try:
        return TOPICS[name]
    except KeyError as e:
        raise UnknownTopic(name) from e
