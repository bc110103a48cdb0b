"""Who sends: `python -m tests.bench.outbox.sender`, told in JSON lines.

`{"prepare": tenant id, "url": receiver}`, `{"publish": n, "keys": n}`, `{"deliver": n}`, `{"bare": n}`.
"""

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import django
import httpcore

from tests.bench.talker import answer

TOPIC = "bench.event"
DESTINATION = "receiver"
SECRET = "made-up-for-the-bench"
PAYLOAD = {"event": "consent.changed", "customer": "0190a5e0-0000-7000-8000-000000000001", "granted": True, "n": 1}
# Messages written down in one transaction, as a service that has several to say does it.
_TOGETHER = 100


def main() -> None:
    django.setup()
    from kaireon.lib import clock
    from kaireon.lib.budget import Budget
    from kaireon.outbox import delivery, destinations, services, topics
    from kaireon.outbox.sending import Outgoing
    from kaireon.outbox.signatures import ID_HEADER, SIGNATURE_HEADER, sign
    from kaireon.tenancy import tenants
    from kaireon.tenancy.context import Actor, scope, transaction

    system = Actor.system("bench")
    topics.register(
        TOPIC, schema={"type": "object", "required": ["event"], "properties": {"event": {"type": "string"}}}
    )
    known: dict[str, str] = {}

    def prepare(tenant: str, url: str) -> None:
        known.update(tenant=tenant, url=url)
        tenants.create_tenant(tenant_id=tenant, name="Tenant", actor=system)
        with scope(tenant_id=tenant, actor=system), transaction():
            destinations.save(name=DESTINATION, kind="webhook", given={"url": url}, secret=SECRET, now=clock.now())

    def publish(messages: int, keys: int) -> None:
        with scope(tenant_id=known["tenant"], actor=system):
            for first in range(0, messages, _TOGETHER):
                with transaction():
                    for number in range(first, min(first + _TOGETHER, messages)):
                        services.publish(
                            topic=TOPIC,
                            destination=DESTINATION,
                            payload=PAYLOAD,
                            now=clock.now(),
                            ordering_key=f"key-{number % keys}" if keys else "",
                        )

    def deliver() -> dict[str, float]:
        with scope(tenant_id=known["tenant"], actor=system):
            start = time.monotonic()
            sent = delivery.deliver_due(budget=Budget(300)).sent
            return {"sent": sent, "seconds": time.monotonic() - start}

    def bare(messages: int) -> dict[str, float]:
        """The same client from memory: each post with an id, a body and a signature of its own, and nothing kept."""

        def post(pool: httpcore.ConnectionPool) -> bool:
            now = clock.now()
            message = Outgoing(id=uuid4(), tenant_id=known["tenant"], topic=TOPIC, created_at=now, payload=PAYLOAD)
            body = message.body()
            signed = sign(secret=SECRET.encode(), message_id=str(message.id), timestamp=int(now.timestamp()), body=body)
            headers = {
                "Content-Type": "application/json",
                "User-Agent": "Kaireon-Compliance",
                ID_HEADER: str(message.id),
                SIGNATURE_HEADER: signed,
            }
            return pool.request("POST", known["url"], headers=list(headers.items()), content=body).status == 204

        with httpcore.ConnectionPool() as pool:
            start = time.monotonic()
            sent = sum(post(pool) for _ in range(messages))
            return {"sent": sent, "seconds": time.monotonic() - start}

    def respond(order: dict[str, Any]) -> Mapping[str, Any]:
        if "prepare" in order:
            prepare(order["prepare"], order["url"])
            return {}
        if "publish" in order:
            publish(order["publish"], order["keys"])
            return {}
        return deliver() if "deliver" in order else bare(order["bare"])

    answer(respond)


if __name__ == "__main__":
    main()
