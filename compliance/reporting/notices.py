"""Telling people that a report is ready, or failed: a message of the outbox to each provider of its schedule.

It says which report, of which period, and where it is to be had: whoever opens it signs in, and the download is
recorded. Neither a figure nor a file leaves the house in a message: out of a mailbox nothing can be taken back.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction as database
from django.urls import reverse

import audit
from compliance.alerting import messages
from compliance.models import NotificationProvider, NotificationState, ProviderKind, ReportNotice, ReportRun
from kaireon.lib import clock
from kaireon.lib.ids import uuid7
from kaireon.outbox import services as outbox
from kaireon.outbox import topics
from kaireon.outbox.models import Destination
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant

READY = "ready"
FAILED = "failed"
TELL_VERB = "report.tell"
TOLD_VERB = "report.told"
NOT_TOLD_VERB = "report.not_told"
TOPICS: dict[str, str] = {kind: f"report.{kind}" for kind in ProviderKind.values}


@dataclass(frozen=True, kw_only=True)
class ReportSaid:
    """As compliance.alerting.messages takes it: `word` is ready or failed."""

    word: str
    run: ReportRun
    tenant: str
    at: datetime
    url: str
    severity: str = ""
    link: str = "Open the report"

    @property
    def headline(self) -> str:
        return f"{'Report ready' if self.word == READY else 'Report failed'}: {self.run.title}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        said = [
            ("Period", f"{self.run.period_first} to {self.run.period_last} ({self.run.time_zone})"),
            ("Formats", ", ".join(name.upper() for name in self.run.formats)),
            ("Tenant", self.tenant),
            ("At", f"{clock.in_utc(self.at):%Y-%m-%d %H:%M:%S} UTC"),
        ]
        return said if self.word == READY else [("Reason", self.run.error), *said]


def webhook(said: ReportSaid) -> dict[str, Any]:
    """For machines: field by field."""
    return {
        "kind": f"report_{said.word}",
        "reportId": str(said.run.pk),
        "scheduleId": str(said.run.schedule_id) if said.run.schedule_id else None,
        "template": said.run.template,
        "title": said.run.title,
        "from": said.run.period_first.isoformat(),
        "to": said.run.period_last.isoformat(),
        "timeZone": said.run.time_zone,
        "formats": said.run.formats,
        "reason": said.run.error or None,
        "tenantName": said.tenant,
        "at": clock.rfc3339(said.at),
        "url": said.url or None,
    }


@requires_transaction
def tell(run: ReportRun, word: str, *, now: datetime) -> int:
    """Say this word of the report to each provider of its schedule that was not told it yet; to how many it goes.

    One that is off is noted, not told. Of a report that only somebody asked for nobody is told.
    """
    if not run.delivers or run.schedule is None:
        return 0
    providers = NotificationProvider.objects.present().filter(pk__in=run.schedule.channels).order_by("name")
    told = set(ReportNotice.objects.filter(run=run, word=word).values_list("provider_id", flat=True))
    said = ReportSaid(word=word, run=run, tenant=_tenant_name(), at=now, url=_url(run))
    sent = [_send(provider, said, now) for provider in providers if provider.pk not in told]
    return sum(one.message_ref is not None for one in sent)


@requires_transaction
def settled(message_id: UUID, *, delivered: bool, error: str, now: datetime) -> None:
    """Called by the outbox in the transaction in which a message of ours is delivered or dies."""
    notice = ReportNotice.objects.select_for_update().filter(message_ref=message_id).first()
    if notice is None:
        return
    audit.action(TOLD_VERB if delivered else NOT_TOLD_VERB, entity=notice)
    ReportNotice.objects.filter(pk=notice.pk).update(
        state=NotificationState.DELIVERED if delivered else NotificationState.FAILED,
        error="" if delivered else error[:64],
        settled_at=now,
    )


def _send(provider: NotificationProvider, said: ReportSaid, now: datetime) -> ReportNotice:
    notice = ReportNotice(id=uuid7(), run=said.run, provider=provider, word=said.word, made_at=now)
    audit.action(TELL_VERB, entity=notice)
    if not provider.is_enabled:
        notice.state, notice.settled_at = NotificationState.OFF, now
        notice.save(force_insert=True)
        return notice
    message = outbox.publish(
        topic=TOPICS[provider.kind],
        destination=Destination.objects.values_list("name", flat=True).get(pk=provider.destination_ref),
        payload=_payload(provider, said),
        now=now,
        # What was said first of a schedule arrives first.
        ordering_key=f"report:{provider.pk}:{said.run.schedule_id}",
    )
    notice.message_ref = message.pk
    notice.save(force_insert=True)
    database.on_commit(partial(outbox.wake, message))
    return notice


def _payload(provider: NotificationProvider, said: ReportSaid) -> dict[str, Any]:
    if provider.kind == ProviderKind.WEBHOOK:
        return webhook(said)
    return messages.FOR_PEOPLE[provider.kind](said, provider.recipients)


def _url(run: ReportRun) -> str:
    page = reverse("admin:compliance_reportrun_change", args=[run.pk])
    return settings.PUBLIC_URL + page if settings.PUBLIC_URL else ""


def _tenant_name() -> str:
    return Tenant.objects.values_list("name", flat=True).get(pk=context.tenant_id())


_ANYTHING = {"type": "object"}
_WEBHOOK = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["report_ready", "report_failed"]},
        "at": {"type": "string", "format": "date-time"},
    },
    "required": ["kind", "at", "reportId"],
}
for _kind, _name in TOPICS.items():
    _schema = {ProviderKind.EMAIL: topics.MAIL, ProviderKind.WEBHOOK: _WEBHOOK}.get(ProviderKind(_kind), _ANYTHING)
    topics.register(_name, schema=_schema, settled=settled)
