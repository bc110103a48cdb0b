"""The model of an offer that is served, and what it says of a customer.

A decision names `Served.label` in its trace: the version's number and the start of the SHA-256 of its bytes.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.db import connection

from customers.models import Customer, PropensityVersion, RetrainSchedule
from customers.propensity import examples, exclusions, features, versions
from customers.propensity.documents import Document, ModelRefused, opened
from customers.propensity.features import Event, Past
from kaireon.lib import clock
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction

logger = logging.getLogger("kaireon.propensity")

_PAST = f"""
SELECT at, kind, offer, channel
  FROM (SELECT date_part('epoch', occurred_at) AS at, kind, offer, channel, id FROM public.customers_interaction
         WHERE tenant_id = %s AND customer_id = %s AND occurred_at > %s AND occurred_at < %s
         ORDER BY occurred_at DESC, id DESC LIMIT {examples.MOST_EVENTS}) newest
 ORDER BY at, id
"""  # noqa: S608 - a number of our own


@dataclass(frozen=True, kw_only=True)
class Served:
    """A version that is served; `label` is what traces call it."""

    offer: str
    number: int
    label: str
    document: Document


@requires_transaction
def served(offer: str) -> Served | None:
    """The served version of an offer; None when there is none, or it was stale for too long (versions.LONGEST_STALE).

    Raises ModelRefused when its bytes were changed.
    """
    schedule = RetrainSchedule.objects.for_offer(offer).select_related("served").first()
    version = schedule.served if schedule is not None else None
    if version is None or versions.is_over(version, now=clock.now()):
        return None
    return Served(offer=offer, number=version.number, label=version.label, document=_loaded(version))


@requires_transaction
def score(customer: Customer, *, model: Served, channel: str, at: datetime) -> float | None:
    """How likely the customer is to accept the offer now, 0 to 1; None for whom nobody may reckon this."""
    if exclusions.reason_of(customer, now=at):
        return None
    since = at - timedelta(days=features.LOOK_BACK_DAYS)
    past = Past(model.offer)
    with connection.cursor() as cursor:
        cursor.execute(_PAST, [context.tenant_id(), customer.pk, since, at])
        for row in cursor.fetchall():
            past.add(Event(*row))
    return model.document.score(past.facts(at.timestamp()), channel)


def _loaded(version: PropensityVersion) -> Document:
    try:
        return _opened(str(version.tenant_id), version.pk, bytes(version.content), version.seal)
    except ModelRefused:
        facts = {"version": str(version.pk), "loaded": False, "error_type": "model_refused"}
        logger.exception("model_load", extra=facts)
        raise


# Whose bytes, seal or tenant differ is another one: nothing is found here that was not looked at.
@lru_cache(maxsize=256)
def _opened(tenant_id: str, version: object, content: bytes, sealed: str) -> Document:
    started = time.monotonic()
    document = opened(content, version=version, sealed=sealed)  # type: ignore[arg-type]
    facts = {"version": str(version), "loaded": True, "features": len(document.coefficients)}
    logger.info("model_load", extra={**facts, "duration_ms": round((time.monotonic() - started) * 1000, 1)})
    return document
