"""Rows of a period counted by the database: how many in each of its days or months, and of each kind."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Aggregate, Count, QuerySet
from django.db.models.functions import Trunc

from compliance.reporting.document import Chart, ChartKind, Series
from compliance.reporting.templates import Asked

Counts = dict[str, dict[str, int]]


def within(rows: Any, moment: str, asked: Asked) -> Any:
    """Those whose `moment` is in the period."""
    return rows.filter(**{f"{moment}__gte": asked.period.start, f"{moment}__lt": asked.period.end})


def per_part(rows: QuerySet[Any], moment: str, asked: Asked, *, by: str = "", of: Aggregate | None = None) -> Counts:
    """`{kind: {part: count}}` of rows whose `moment` is in the period, by the column `by`; one kind "" without it.

    `of`: what is counted, if not the rows. One query, whose answer has at most a row for each kind and part.
    """
    part = Trunc(moment, "day" if asked.period.is_by_day else "month", tzinfo=asked.zone)
    spelled = "%Y-%m-%d" if asked.period.is_by_day else "%Y-%m"
    kinds = [by] if by else []
    found: Counts = defaultdict(dict)
    parts = within(rows, moment, asked).order_by().annotate(part=part).values("part", *kinds)
    for row in parts.annotate(n=of or Count("*")):
        found[str(row[by]) if by else ""][row["part"].astimezone(asked.zone).strftime(spelled)] = int(row["n"])
    return dict(found)


def in_all(counts: Counts, kind: str = "") -> int:
    return sum(counts.get(kind, {}).values())


def chart(
    counts: Counts, asked: Asked, *, title: str, unit: str, names: Iterable[tuple[str, str]], kind: ChartKind = "bar"
) -> Chart:
    """Over the parts of the period; `names` gives the kinds in their order, each with what it is called."""
    labels = tuple(part.label for part in asked.period.parts(asked.zone))
    series = tuple(
        Series(name=name, values=tuple(float(counts.get(key, {}).get(label, 0)) for label in labels))
        for key, name in names
    )
    return Chart(kind=kind, title=title, unit=unit, labels=labels, series=series)
