"""Who works on a request."""

import audit
from dsar.models import DsarRequest, State, Status
from dsar.requests.kinds import KINDS
from dsar.requests.outcomes import RequestClosed
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.models import Membership
from kaireon.tenancy.roles import Permission, may


class NotAnOfficer(LookupError):
    """No member of this tenant who may work on requests is known so."""


@requires_transaction
def assign(*, request: DsarRequest, to: str) -> DsarRequest:
    """Give a request to a member, by e-mail address or id, or with "" to nobody; recorded as `dsar.assign`.

    What a person works on is in review from then on. Raises NotAnOfficer, outcomes.RequestClosed.
    """
    officer = officer_of(to) if to else None
    row = DsarRequest.objects.select_for_update().get(pk=request.pk)
    if row.status == Status.COMPLETED:
        raise RequestClosed(str(row.pk))
    audit.action("dsar.assign", entity=row)
    row.assigned_to = str(officer.user_id) if officer else ""
    row.assigned_name = officer.user.name if officer else ""
    if officer and KINDS[row.request_type].by_person and row.state == State.QUEUED and row.duplicate_of is None:
        row.move_to(State.REVIEW)
    row.save()
    return row


@requires_transaction
def officers() -> list[Membership]:
    """Members who may work on requests, by name."""
    members = Membership.objects.select_related("user").filter(user__is_active=True).order_by("user__name", "id")
    return [member for member in members if may(member.role, Permission.MANAGE_DSAR)]


@requires_transaction
def officer_of(to: str) -> Membership:
    """Raises NotAnOfficer."""
    wanted = to.strip().lower()
    found = [member for member in officers() if wanted in (member.user.email, str(member.user_id))]
    if not found:
        raise NotAnOfficer("is no member who may work on requests.")
    return found[0]
