"""Invented requests, never stored: what a template is shown with before it is used."""

from datetime import datetime, timedelta

from dsar.letters import facts, texts
from dsar.letters.facts import About, Supposed
from dsar.letters.texts import Template
from dsar.models import DsarRequest, LetterKind, LetterSettings, Outcome, RequestType
from dsar.requests import clocks, grounds
from kaireon.tenancy import context
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Tenant

_TYPES: dict[str, str] = {LetterKind.DEFERRAL: RequestType.DELETE, LetterKind.COMPLETION: RequestType.EXPORT}
_LEFT = [{"entity": "interactionHistory", "count": 12, "ground": "legal_hold", "until": None}]


@requires_transaction
def shown(template: Template, kind: str, language: str, settings: LetterSettings, *, now: datetime) -> tuple[str, str]:
    """Subject and text of a letter of this kind about an invented request."""
    request = _request(kind, now)
    supposed = Supposed()
    if kind == LetterKind.EXTENSION:
        request.extended_at = now
        supposed = Supposed(clock=clocks.clock_of(request), reason="…")
    elif kind == LetterKind.REFUSAL:
        known = grounds.allowed(request_type=request.request_type, regulation=request.regulation)
        supposed = Supposed(ground=known[0], reason="…")
    about = About(request=request, settings=settings, language=language, supposed=supposed)
    return texts.filled(template, facts.of(about, kind))


def _request(kind: str, now: datetime) -> DsarRequest:
    law = Tenant.objects.get(pk=context.tenant_id()).regulation
    request_type = _TYPES.get(kind, RequestType.EXPORT)
    received = now - timedelta(days=3)
    begun = clocks.begin(regulation=law, request_type=request_type, received=received)
    request = DsarRequest(request_type=request_type, regulation=law, received_at=received, **begun.columns)
    if kind == LetterKind.DEFERRAL:
        request.counts = {"deleted": {"customer": 1, "delivery": 48}, "reduced": {"consentRecord": 2}}
        request.retained, request.outcome = _LEFT, Outcome.PARTIALLY_COMPLETED
    elif kind == LetterKind.COMPLETION:
        request.package_expires_at, request.outcome = now + timedelta(days=30), Outcome.COMPLETED
    return request
