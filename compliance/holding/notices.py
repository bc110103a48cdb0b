"""Custodians are told to keep what a hold covers, reminded until they say they will, and asked when review is due.

Where the tenant has a destination for mail they get one; everybody finds what waits for them in the API and the admin.
A mail says what is held by class, entity and time, and nothing that somebody typed: it names no customer.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

import audit
from compliance.models import Hold, HoldState, Matter, Notice
from kaireon.approvals import people
from kaireon.lib import clock
from kaireon.outbox import services as outbox
from kaireon.outbox.models import Destination
from kaireon.outbox.models import Kind as DestinationKind
from kaireon.tenancy.context import requires_transaction
from kaireon.tenancy.managers import TenantQuerySet
from kaireon.tenancy.models import Membership
from kaireon.tenancy.roles import Permission, Role, may

ENTITY = "HoldNotice"
REMIND_VERB = "legal_hold.remind"
REVIEW_VERB = "matter.review_due"
MOST_CUSTODIANS = 200
_BATCH = 200


class CustodiansUnknown(ValueError):
    """Not all of them are active members of the tenant. `str()` says how many are not."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """How many were told, and how many of them by mail too."""

    notices: int = 0
    mails: int = 0


@requires_transaction
def check_custodians(member_ids: Collection[str]) -> list[str]:
    """The same in order, each once. Raises CustodiansUnknown."""
    wanted = sorted(set(member_ids))
    if len(wanted) > MOST_CUSTODIANS:
        raise CustodiansUnknown(f"at most {MOST_CUSTODIANS} members are told of one hold.")
    if strangers := len(wanted) - len(people.roles_of(wanted)):
        raise CustodiansUnknown(f"{strangers} of them are no active members.")
    return wanted


@requires_transaction
def send(*, hold: Hold, member_ids: Collection[str], now: datetime) -> Told:
    """Tell members that they are custodians of a hold that was just placed. Raises CustodiansUnknown."""
    wanted = check_custodians(member_ids)
    notices = Notice.objects.bulk_create(Notice(hold=hold, member_id=member, sent_at=now) for member in wanted)
    subject = "A legal hold asks you to keep what it covers"
    return Told(notices=len(notices), mails=_mail(wanted, subject, _placed(hold), now))


@requires_transaction
def remind(*, now: datetime) -> Told:
    """Remind custodians who have not answered for HOLD_REMINDER_DAYS. Several may call it at once: each tells others.

    Who is no member any more is not reminded; their notice stays unanswered for everybody to see.
    """
    due = Notice.objects.to_remind(now - every()).select_for_update(of=("self",), skip_locked=True)
    told = mails = 0
    for notice in due.select_related("hold").order_by("sent_at", "pk")[:_BATCH]:
        audit.action(REMIND_VERB, entity=notice, entity_type=ENTITY)
        Notice.objects.filter(pk=notice.pk).update(reminded_at=now, reminders=notice.reminders + 1)
        told += 1
        mails += _mail([notice.member_id], "Reminder: a legal hold waits for your answer", _placed(notice.hold), now)
    return Told(notices=told, mails=mails)


@requires_transaction
def ask_reviews(*, now: datetime) -> Told:
    """Ask whether matters whose review is due are still needed, again every HOLD_REMINDER_DAYS until a new day is set.

    Asked are who opened the matter and its custodians, and where none of them may end it, everybody who may.
    """
    due = Matter.objects.to_review(now.date(), now - every()).select_for_update(skip_locked=True)
    told = mails = 0
    for matter in due.order_by("review_on", "pk")[:_BATCH]:
        audit.action(REVIEW_VERB, entity=matter)
        Matter.objects.filter(pk=matter.pk).update(reviewed_at=now)
        told += 1
        mails += _mail(_reviewers(matter), "Is this matter still needed?", _to_review(matter), now)
    return Told(notices=told, mails=mails)


@requires_transaction
def waiting_for(member_id: str) -> TenantQuerySet[Notice]:
    """What a member was told to keep and has not said yes to, oldest first."""
    return Notice.objects.unanswered().filter(member_id=member_id).select_related("hold").order_by("sent_at", "pk")


@requires_transaction
def answered_by(member_id: str) -> TenantQuerySet[Notice]:
    """What a member said yes to and is still to keep, newest first."""
    rows = Notice.objects.filter(member_id=member_id, acknowledged_at__isnull=False)
    return rows.exclude(hold__state=HoldState.RELEASED).select_related("hold").order_by("-acknowledged_at", "pk")


def every() -> timedelta:
    return timedelta(days=settings.HOLD_REMINDER_DAYS)


def _reviewers(matter: Matter) -> list[str]:
    notices = Notice.objects.filter(hold__matter=matter).exclude(hold__state=HoldState.RELEASED)
    roles = people.roles_of([matter.opened_by, *notices.values_list("member_id", flat=True)])
    if any(may(role, Permission.MANAGE_RETENTION) for role in roles.values()):
        return sorted(roles)
    able = [role for role in Role.values if may(role, Permission.MANAGE_RETENTION)]
    enders = Membership.objects.filter(role__in=able, user__is_active=True).values_list("user_id", flat=True)
    return sorted({*roles, *map(str, enders)})


def _mail(member_ids: Iterable[str], subject: str, text: str, now: datetime) -> int:
    """One mail each, so that nobody reads the others' addresses; 0 where there is no destination for mail."""
    wanted = list(member_ids)
    destination = Destination.objects.filter(kind=DestinationKind.EMAIL, is_enabled=True).order_by("created_at").first()
    if destination is None or not wanted:
        return 0
    members = Membership.objects.filter(user_id__in=wanted, user__is_active=True).select_related("user")
    for member in members:
        payload = {"to": [member.user.email], "subject": subject, "text": text}
        outbox.publish(topic="mail", destination=destination.name, payload=payload, now=now)
    return len(members)


def _placed(hold: Hold) -> str:
    lines = [
        "Keep what this legal hold covers, wherever you have it, until the hold is released: delete nothing of it and",
        "change nothing in it.",
        "",
        f"Hold:    {hold.pk}",
        f"Placed:  {clock.rfc3339(hold.placed_at)}",
        f"Class:   {hold.data_class or 'every class'}",
        f"Entity:  {hold.entity or 'every entity'}",
        f"Of whom: {'certain customers' if hold.of_subjects else 'everybody'}",
    ]
    if hold.from_at is not None:
        lines.append(f"From:    {clock.rfc3339(hold.from_at)}")
    if hold.until_at is not None:
        lines.append(f"Until:   {clock.rfc3339(hold.until_at)}")
    return "\n".join([*lines, "", "Sign in to read what it is about, and to acknowledge it."])


def _to_review(matter: Matter) -> str:
    held = matter.holds.exclude(state=HoldState.RELEASED).count()
    return "\n".join(
        [
            "The day has come on which somebody was to look whether this matter is still needed.",
            "",
            f"Matter:  {matter.pk}",
            f"Review:  {matter.review_on}",
            f"Holds:   {held}",
            "",
            "Sign in to release what is no longer needed, or to set the next day of review.",
        ]
    )
