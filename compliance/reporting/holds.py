"""What is held and for which matters, what was placed and released, and whether custodians answered."""

from typing import Any

from django.db.models import Count, Q

from compliance.models import Hold, Matter, Notice, RetentionPolicy
from compliance.models.hold import HoldState, HoldSubject
from compliance.reporting import counting, log_facts
from compliance.reporting.document import Figure, Section, Table, count, day, several
from compliance.reporting.templates import Asked, Template, register
from kaireon.tenancy.roles import Permission

MOST_MATTERS = 100
REFUSED = "legal_hold.refused"


def now(asked: Asked) -> dict[str, int]:
    """Holds for matters as they stand, and people held."""
    found: dict[str, int] = Hold.objects.for_matters().aggregate(
        effective=Count("pk", filter=~Q(state=HoldState.RELEASED)),
        releasing=Count("pk", filter=Q(state=HoldState.RELEASING)),
        everybody=Count("pk", filter=~Q(state=HoldState.RELEASED) & Q(of_subjects=False)),
    )
    holding = Hold.objects.for_matters().effective()
    people = HoldSubject.objects.filter(hold__in=holding).aggregate(n=Count("subject_id", distinct=True))
    return {**found, "people": people["n"], "classes": RetentionPolicy.objects.held().count()}


def placed(asked: Asked) -> counting.Counts:
    return counting.per_part(Hold.objects.for_matters(), "placed_at", asked)


def released(asked: Asked) -> counting.Counts:
    return counting.per_part(Hold.objects.for_matters(), "released_at", asked)


def summary(asked: Asked) -> str:
    found = asked.once(now)
    began, ended = counting.in_all(asked.once(placed)), counting.in_all(asked.once(released))
    classes = several(found["classes"], "class", "classes")
    return (
        f"In effect: {several(found['effective'], 'hold')}, and {classes} held as a whole."
        f" In this period: {several(began, 'hold')} placed, {count(ended)} released."
    )


def standing(asked: Asked) -> Section:
    found = asked.once(now)
    return Section(
        title="In effect",
        note="As it stands when the report is made. Pauses of retention for open requests are not counted.",
        figures=(
            Figure(label="Holds", value=count(found["effective"])),
            Figure(label="Of everybody", value=count(found["everybody"])),
            Figure(label="People named by holds", value=count(found["people"])),
            Figure(label="Being released", value=count(found["releasing"])),
            Figure(label="Classes held as a whole", value=count(found["classes"])),
        ),
    )


def period(asked: Asked) -> Section:
    began, ended = asked.once(placed), asked.once(released)
    refused = log_facts.together(line.told for line in log_facts.lines(asked, actions=[REFUSED]))
    is_quiet = not (began or ended or refused.count)
    return Section(
        title="In this period",
        note="No hold was placed or released, and no hold refused anything."
        if is_quiet
        else "What was refused is what somebody wanted to delete or release, and a hold kept.",
        figures=(
            Figure(label="Placed", value=count(counting.in_all(began))),
            Figure(label="Released", value=count(counting.in_all(ended))),
            Figure(
                label="Refused because of a hold",
                value=count(refused.count),
                note=f"positions {refused.positions}" if refused.count else "",
            ),
        ),
        charts=()
        if not (began or ended)
        else (
            counting.chart(
                {"placed": began.get("", {}), "released": ended.get("", {})},
                asked,
                title="Placed and released",
                unit="holds",
                names=[("placed", "Placed"), ("released", "Released")],
            ),
        ),
    )


def matters(asked: Asked) -> Section:
    holding = Count("holds", filter=~Q(holds__state=HoldState.RELEASED))
    rows: Any = Matter.objects.open().annotate(holding=holding).order_by("opened_at", "pk")
    today = asked.now.astimezone(asked.zone).date()
    open_ = Matter.objects.open().count()
    overdue = Matter.objects.open().filter(review_on__lt=today).count()
    closed = counting.within(Matter.objects.order_by(), "closed_at", asked).count()
    return Section(
        title="Matters",
        note="" if open_ else "No matter is open.",
        figures=(
            Figure(label="Open", value=count(open_)),
            Figure(label="Past their day of review", value=count(overdue)),
            Figure(label="Closed in the period", value=count(closed)),
        ),
        tables=(
            Table(
                title="Open matters, the oldest first",
                columns=("Matter", "File number", "Opened", "To be reviewed on", "Holds in effect"),
                rows=tuple(
                    (row.name, row.reference, day(row.opened_at, asked.zone), str(row.review_on or ""), row.holding)
                    for row in rows[:MOST_MATTERS]
                ),
                truncated=max(0, open_ - MOST_MATTERS),
            ),
        )
        if open_
        else (),
    )


def custodians(asked: Asked) -> Section:
    sent = counting.within(Notice.objects.order_by(), "sent_at", asked)
    told: dict[str, Any] = sent.aggregate(n=Count("pk"), answered=Count("acknowledged_at"))
    return Section(
        title="Custodians",
        note="Members who were told to keep what a hold covers.",
        figures=(
            Figure(label="Notices of the period", value=count(told["n"])),
            Figure(label="Acknowledged of these", value=count(told["answered"])),
            Figure(label="Unanswered of all", value=count(Notice.objects.unanswered().count())),
        ),
    )


register(
    Template(
        name="legal_holds",
        title="Legal holds",
        help="Holds in effect and their matters, what was placed, released and refused, notices to custodians.",
        permission=Permission.READ_RETENTION,
        summary=summary,
        sections={"In effect": standing, "In this period": period, "Matters": matters, "Custodians": custodians},
    )
)
