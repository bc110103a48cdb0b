"""What every kind of destination is given, and the one way in which each says no."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from kaireon.lib.canonical import canonical, exact
from kaireon.lib.clock import rfc3339

# No single delivery takes longer; the lease of a batch is measured by it.
SEND_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A message as it leaves: `payload` is any JSON object."""

    id: UUID
    tenant_id: str
    topic: str
    created_at: datetime
    payload: Mapping[str, Any]

    def body(self) -> bytes:
        """`{id, tenantId, topic, createdAt, data}` as canonical JSON: the same bytes at every attempt."""
        return canonical(
            exact(
                {
                    "id": str(self.id),
                    "tenantId": self.tenant_id,
                    "topic": self.topic,
                    "createdAt": rfc3339(self.created_at),
                    "data": dict(self.payload),
                }
            )
        )


class Refused(Exception):
    """A delivery that did not happen. `code` names the kind of failure and carries nothing personal.

    `permanent`: trying again cannot help. `wait` is what the receiver asked for. `is_answer`: the receiver is well and
    does not take this message, now or ever. `rest`: a part was delivered, and this payload says what is left.
    """

    def __init__(
        self,
        code: str,
        *,
        permanent: bool = False,
        wait: timedelta | None = None,
        is_answer: bool = False,
        rest: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code[:64]
        self.permanent = permanent
        self.wait = wait
        self.is_answer = permanent or is_answer
        self.rest = rest
