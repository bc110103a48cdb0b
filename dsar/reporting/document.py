"""The figures of requests as a report: the same numbers as the page of the desk has, for the same days."""

from pathlib import Path
from typing import Any

from django.db import connection

from compliance.reporting.document import Cell, Chart, Figure, Section, Series, Table, count, percent, several
from compliance.reporting.templates import Asked, Template, register
from dsar.reporting import telling
from dsar.reporting.figures import Figures, Report, report
from dsar.requests.grounds import GROUNDS
from kaireon.tenancy import context
from kaireon.tenancy.roles import Permission

_PARTS = (Path(__file__).parent / "parts.sql").read_text()
METRICS: dict[str, str] = {
    "delete": "Requests to delete",
    "correct": "Requests to correct",
    "know": "Requests to know",
    "opt_out": "Requests to opt out of sale or sharing",
    "limit": "Requests to limit",
}
REASONS: dict[str, str] = {
    "notVerifiable": "could not be verified",
    "exempt": "the information is exempt from disclosure",
    "other": "other grounds",
}


def figures(asked: Asked) -> Report:
    since, until = asked.period.days(asked.zone)
    return report(since=since, until=until, zone=asked.zone, now=asked.now)


def summary(asked: Asked) -> str:
    found = asked.once(figures)
    total = found.total
    if found.is_empty:
        return "No request was received, answered or open in this period."
    rate = "" if total.on_time_rate is None else f", {total.on_time_rate:.1f} % of them on time"
    return (
        f"Received: {several(total.received, 'request')}. Answered: {count(total.answered)}{rate}."
        f" Open at the end: {count(total.open_at_end)}, of which {count(total.overdue_at_end)} overdue."
    )


def volumes(asked: Asked) -> Section:
    found = asked.once(figures)
    total = found.total
    return Section(
        title="Requests",
        note=f"Whole days, {found.since} to {found.until}, by the clock that each request was begun with. Answered is"
        " what was complied with in whole or in part, nothing held, and denied."
        if not found.is_empty
        else "No request was received, answered or open in this period.",
        figures=(
            Figure(label="Received", value=count(total.received)),
            Figure(label="Answered", value=count(total.answered)),
            Figure(
                label="On time",
                value=percent(total.on_time_rate),
                note="" if total.answered else "nothing was answered",
            ),
            Figure(label="Median days to answer", value=_days(total.median_days)),
            Figure(label="Mean days to answer", value=_days(total.mean_days)),
            Figure(label="Extended", value=count(total.extended), note="of those answered"),
            Figure(label="Open at the end", value=count(total.open_at_end)),
            Figure(label="Overdue at the end", value=count(total.overdue_at_end)),
        ),
        charts=() if found.is_empty else _charts(asked),
    )


def outcomes(asked: Asked) -> Section:
    found = asked.once(figures)
    grounds = found.denied_on()
    return Section(
        title="Outcomes",
        note="" if found.total.answered else "Nothing was answered in this period.",
        tables=(
            _lines("By kind", "Kind", [(telling.kind_of(line), line) for line in found.by_kind]),
            _lines("By law", "Law", [(telling.law_of(line), line) for line in found.by_law]),
            Table(
                title="Denied, by ground",
                columns=("Ground", "Denied"),
                rows=tuple((GROUNDS[name].title if name in GROUNDS else name, n) for name, n in grounds.items()),
            ),
        )
        if not found.is_empty
        else (),
    )


def ccpa(asked: Asked) -> Section:
    found = asked.once(figures)
    has_any = any(line != Figures(regulation=line.regulation) for line in found.metrics.values())
    rows: list[tuple[Cell, ...]] = [
        (
            METRICS[name],
            line.received,
            line.complied,
            line.no_data,
            line.denied,
            line.median_days,
            line.mean_days,
        )
        for name, line in found.metrics.items()
    ]
    return Section(
        title="CCPA, 11 CCR § 7102(a)",
        note="Requests under the CCPA alone." if has_any else "There was no request under the CCPA in this period.",
        tables=(
            Table(
                title="As § 7102(a)(1) counts them",
                columns=("Requests", "Received", "Complied with", "Nothing held", "Denied", "Median days", "Mean days"),
                rows=tuple(rows),
            ),
            Table(
                title="Denied because, § 7102(a)(3)",
                columns=("Because", "Denied"),
                rows=tuple((REASONS[name], n) for name, n in telling.reasons(found).items()),
            ),
        )
        if has_any
        else (),
    )


def _charts(asked: Asked) -> tuple[Chart, ...]:
    since, until = asked.period.days(asked.zone)
    labels = tuple(part.label for part in asked.period.parts(asked.zone))
    values: dict[str, Any] = {
        "tenant": context.tenant_id(),
        "zone": asked.zone.key,
        "from": since,
        "to": until,
        "spelled": "YYYY-MM-DD" if asked.period.is_by_day else "YYYY-MM",
    }
    with connection.cursor() as cursor:
        cursor.execute(_PARTS, values)
        parts = {part: (float(came), float(on_time), float(late)) for part, came, on_time, late in cursor.fetchall()}

    def series(name: str, place: int) -> Series:
        return Series(name=name, values=tuple(parts.get(label, (0.0, 0.0, 0.0))[place] for label in labels))

    return (
        Chart(kind="bar", title="Received", unit="requests", labels=labels, series=(series("Received", 0),)),
        Chart(
            kind="stacked",
            title="Answered",
            unit="requests",
            labels=labels,
            series=(series("On time", 1), series("Late", 2)),
        ),
    )


def _lines(title: str, what: str, lines: list[tuple[str, Figures]]) -> Table:
    return Table(
        title=title,
        columns=(what, "Received", "Answered", "In whole", "In part", "No data", "Denied", "On time, %", "Median days"),
        rows=tuple(
            (
                name,
                *(line.received, line.answered, line.in_whole, line.in_part, line.no_data, line.denied),
                line.on_time_rate,
                line.median_days,
            )
            for name, line in lines
        ),
    )


def _days(number: float | None) -> str | None:
    return None if number is None else f"{number:.1f}"


register(
    Template(
        name="subject_requests",
        title="Requests of data subjects",
        help="Volumes, outcomes, on-time rate and days to answer, and the counts that 11 CCR § 7102 asks for.",
        permission=Permission.READ_DSAR,
        summary=summary,
        sections={"Requests": volumes, "Outcomes": outcomes, "CCPA, 11 CCR § 7102(a)": ccpa},
    )
)
