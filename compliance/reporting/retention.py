"""How long data is kept, what was decided about that, and what was disposed of on whose word."""

from typing import Any

from django.db.models import Count, F, Q, Sum

from compliance.models import Disposition, PolicyVersion, PurgePlan, RetentionPolicy
from compliance.models.disposition import Method
from compliance.models.purge_plan import PlanState
from compliance.reporting import counting
from compliance.reporting.document import Cell, Figure, Section, Table, count, moment, several
from compliance.reporting.templates import Asked, Template, register
from kaireon.tenancy.roles import Permission

MOST_DECISIONS = 100


def disposed(asked: Asked) -> list[dict[str, Any]]:
    """Rows by class, entity and method: at most as many lines as the catalogue has entities and methods."""
    rows = _disposed(asked).values("data_class", "entity", "method")
    return list(
        rows.annotate(n=Sum("rows"), runs=Count("run", distinct=True)).order_by("data_class", "entity", "method")
    )


def policies(asked: Asked) -> list[RetentionPolicy]:
    return list(RetentionPolicy.objects.by_class())


def summary(asked: Asked) -> str:
    gone = sum(row["n"] for row in asked.once(disposed))
    held = sum(policy.legal_hold for policy in asked.once(policies))
    told = f"Disposed of in this period: {several(gone, 'row')}." if gone else "Nothing was disposed of in this period."
    return f"{told} Classes with a policy: {len(asked.once(policies))}, of which {held} on legal hold as a whole."


def in_force(asked: Asked) -> Section:
    found = asked.once(policies)
    return Section(
        title="Policies",
        note=f"As they stand at {moment(asked.now, asked.zone)}. A class without a policy is kept."
        if found
        else "No class has a policy: everything is kept.",
        tables=(
            Table(
                title="Classes with a policy",
                columns=("Class", "Kept for, days", "Mode", "On hold as a whole since", "Version"),
                rows=tuple(
                    (
                        policy.data_class,
                        policy.retention_days,
                        str(policy.get_mode_display()),
                        moment(policy.held_since, asked.zone) if policy.held_since else "",
                        policy.version,
                    )
                    for policy in found
                ),
            ),
        )
        if found
        else (),
    )


def decisions(asked: Asked) -> Section:
    rows = counting.within(PolicyVersion.objects.select_related("replaces"), "created_at", asked)
    listed = list(rows.order_by("created_at", "data_class")[: MOST_DECISIONS + 1])
    shortened = rows.filter(retention_days__lt=F("replaces__retention_days")).count() if listed else 0
    return Section(
        title="Decisions about policies",
        note="" if listed else "No policy was made or changed in this period.",
        figures=(
            Figure(label="Decisions", value=count(rows.count())),
            Figure(label="That shorten", value=count(shortened)),
            Figure(
                label="Agreed to by a second person",
                value=count(rows.exclude(approval_id=None).count()),
            ),
        )
        if listed
        else (),
        tables=(
            Table(
                title="Decisions, the oldest first",
                columns=(
                    "Decided",
                    "Class",
                    "Before, days",
                    "From then on, days",
                    "Mode",
                    "Counts from",
                    "Second person",
                ),
                rows=tuple(_decision(row, asked) for row in listed[:MOST_DECISIONS]),
                truncated=max(0, rows.count() - MOST_DECISIONS),
            ),
        )
        if listed
        else (),
    )


def disposal(asked: Asked) -> Section:
    rows = asked.once(disposed)
    parts = counting.per_part(_disposed(asked), "last_at", asked, by="method", of=Sum("rows"))
    methods = [(str(method), method.label) for method in Method if method in parts]
    return Section(
        title="Disposed of",
        note="Rows that were deleted, dropped, shredded or archived, counted by the day on which their purge ended."
        if rows
        else "Nothing was disposed of in this period.",
        figures=(
            Figure(label="Rows", value=count(sum(row["n"] for row in rows))),
            *(
                Figure(label=label, value=count(sum(row["n"] for row in rows if row["method"] == method)))
                for method, label in methods
            ),
        ),
        charts=(
            counting.chart(
                parts,
                asked,
                title="Disposed of",
                unit="rows",
                names=methods,
                kind="stacked" if len(methods) > 1 else "bar",
            ),
        )
        if rows
        else (),
        tables=(
            Table(
                title="By class and entity",
                columns=("Class", "Entity", "Method", "Rows", "Purges"),
                rows=tuple(
                    (row["data_class"], row["entity"], Method(row["method"]).label, row["n"], row["runs"])
                    for row in rows
                ),
            ),
        ),
    )


def plans(asked: Asked) -> Section:
    made = counting.within(PurgePlan.objects.order_by(), "as_of", asked)
    states = {row["state"]: row for row in made.values("state").annotate(n=Count("pk"), rows=Sum("rows"))}
    agreed = made.exclude(approved_by="").count() if states else 0
    return Section(
        title="Plans of purges",
        note="A plan says to the row what would go; what people agree to is its digest."
        if states
        else "No plan was made in this period.",
        figures=(
            Figure(label="Plans made", value=count(sum(row["n"] for row in states.values()))),
            Figure(label="Agreed to by a second person", value=count(agreed)),
        ),
        tables=(
            Table(
                title="Where they stand",
                columns=("State", "Plans", "Rows planned"),
                rows=tuple(
                    (state.label, states[state]["n"], states[state]["rows"]) for state in PlanState if state in states
                ),
            ),
        )
        if states
        else (),
    )


def _disposed(asked: Asked) -> Any:
    # The index leads to what began before the end; a purge that ended before it began to count is left out.
    rows = Disposition.objects.filter(Q(first_at__lt=asked.period.end))
    return counting.within(rows, "last_at", asked).order_by()


def _decision(row: PolicyVersion, asked: Asked) -> tuple[Cell, ...]:
    return (
        moment(row.created_at, asked.zone),
        row.data_class,
        row.replaces.retention_days if row.replaces else None,
        row.retention_days,
        str(row.get_mode_display()),
        moment(row.effective_from, asked.zone),
        "yes" if row.approval_id else "no",
    )


register(
    Template(
        name="retention",
        title="Retention and disposition",
        help="Policies in force, decisions about them, rows disposed of by class and method, and plans of purges.",
        permission=Permission.READ_RETENTION,
        summary=summary,
        sections={
            "Policies": in_force,
            "Decisions about policies": decisions,
            "Disposed of": disposal,
            "Plans of purges": plans,
        },
    )
)
