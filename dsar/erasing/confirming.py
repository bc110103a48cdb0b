"""An erasure is shown to whoever brings it about, and they type what it is about, before anything happens.

Who files one types the customer's number or address again, as they gave it: what must not be confused is the person.
Who agrees to one, or vouches for its subject, types the request's reference: that names nobody.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from dsar.erasing import plan_page, plans
from dsar.models import DsarRequest, ErasurePlan, RequestType
from dsar.requests import subjects
from kaireon.lib import clock
from kaireon.lib.canonical import canonical
from kaireon.lib.ids import uuid7
from kaireon.tenancy.confirming import Confirmation
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.keyring import seal_text
from kaireon.tenancy.patience import TookTooLong, at_most

TEMPLATE = "admin/dsar/plan_shown.html"
WRONG_REFERENCE = "This is not the reference of the request. Nothing was done."
WRONG_SUBJECT = "This is not the customer that you gave before. Nothing was done."


@requires_transaction
def of_request(request: DsarRequest, *, now: datetime) -> Confirmation | None:
    """What to confirm before a request goes on; None when it is no erasure, or nothing is left to be shown."""
    if request.request_type != RequestType.DELETE:
        return None
    if plans.kept_of(request) is None and request.erased_at is not None:
        return None
    plan = _counted(request, now=now)
    return Confirmation(
        words=request.reference,
        label=f"Type the reference of the request, {request.reference}, to confirm the erasure",
        wrong=WRONG_REFERENCE,
        seen=_seen(plan),
        template=TEMPLATE,
        context=_context(plan),
        normal=lambda text: text.strip().upper().replace(" ", ""),
    )


@requires_transaction
def of_approval(payload: Mapping[str, Any]) -> Confirmation | None:
    """What to confirm before somebody agrees to an erasure; None when its request is gone."""
    request = DsarRequest.objects.filter(pk=UUID(payload["requestId"])).first()
    return of_request(request, now=clock.now()) if request is not None else None


@requires_transaction
def of_filing(*, subject_type: str, subject_id: str, regulation: str, now: datetime) -> Confirmation:
    """What to confirm before an erasure of this customer is filed. Raises subjects.SubjectRefused."""
    name = subjects.normal(subject_type, subject_id)
    # Never saved: a plan is made for a request.
    request = DsarRequest(
        id=uuid7(),
        request_type=RequestType.DELETE,
        subject_type=subject_type,
        subject_key=subjects.key(subject_type, name),
        regulation=regulation,
        received_at=now,
        requested_at=now,
    )
    request.subject_sealed = seal_text(name, context=request.sealing_context)
    plan = _counted(request, now=now)
    return Confirmation(
        words=name,
        label=f"Type {name} to confirm the erasure",
        wrong=WRONG_SUBJECT,
        seen=_seen(plan),
        template=TEMPLATE,
        context={**_context(plan), "is_filing": True},
        normal=lambda text: _normal(subject_type, text),
    )


def _normal(subject_type: str, text: str) -> str:
    try:
        return subjects.normal(subject_type, text)
    except subjects.SubjectRefused:
        return ""


def _counted(request: DsarRequest, *, now: datetime) -> ErasurePlan | None:
    """The plan; None when there are more rows than can be counted while somebody waits: it can be confirmed still."""
    try:
        with at_most(plans.SECONDS):
            return plans.look(request, now=now)
    except TookTooLong:
        return None


def _context(plan: ErasurePlan | None) -> dict[str, Any]:
    return plan_page.page_of(plan) if plan is not None else {"plan": None, "too_large": plans.TOO_LARGE}


def _seen(plan: ErasurePlan | None) -> str:
    """Of what a plan shows, whenever it was made and for which request."""
    said = [plan.subject, sorted(plan.refs), plan.items] if plan is not None else []
    return hashlib.sha256(canonical(said)).hexdigest()
