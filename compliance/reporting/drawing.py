"""A chart as shapes: where each bar, line and word of it stands. HTML and PDF draw the same ones. Knows no framework.

Coordinates are of a plane WIDTH wide whose y grows downwards; letters are SIZE high.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from typing import Literal

from compliance.reporting.document import Chart, Series

WIDTH, HEIGHT = 720, 260
SIZE = 11
INK, FAINT, GRID = "#1c1f24", "#5b626d", "#d9dce1"
# Told apart in grey as well: dark, light, middle, and so on round.
COLOURS = ("#1f6f4a", "#e0a33a", "#7b8794", "#2c5f9e", "#b3413a", "#8d6cab")
NOTHING, UNKNOWN = "Nothing in this period.", "No data in this period."

_LEFT, _TOP, _BOTTOM = 64, 14, 26
_LEGEND = 20
# A letter is about so much wider than high, on average.
_BREADTH = 0.56
_TICKS = 4
_MOST_LABELS = 12
# Labels are not shortened below so many letters while there is room for fewer of them; and what is free between two.
_LONGEST, _GAP = 16, 8
_NUMBERED = 16
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, kw_only=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    colour: str
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Path:
    """A line through these points."""

    points: tuple[tuple[float, float], ...]
    colour: str
    width: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Dot:
    x: float
    y: float
    radius: float
    colour: str
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Words:
    """`y` is the line that the letters stand on."""

    x: float
    y: float
    text: str
    anchor: Anchor = "start"
    colour: str = INK


Shape = Box | Path | Dot | Words


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """`description` says in words what is to be seen."""

    width: int
    height: int
    title: str
    description: str
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, kw_only=True)
class _Plot:
    """Where values and labels stand: `slot` is the breadth of one label, `top` the value at the upper edge."""

    slot: float
    top: float
    below: float

    def x(self, index: int, share: float = 0.5) -> float:
        return _LEFT + self.slot * (index + share)

    def y(self, value: float) -> float:
        return self.below - (self.below - _TOP) * value / self.top


def draw(chart: Chart) -> Drawing:
    """Whatever its numbers are; those that are not finite count as none, and what is below 0 stands at 0."""
    chart = finite(chart)
    legend = list(_legend(chart)) if len(chart.series) > 1 else []
    rows = 1 + max((int(shape.y - HEIGHT) // _LEGEND for shape in legend if isinstance(shape, Box)), default=-1)
    plot = _Plot(
        slot=(WIDTH - _LEFT) / max(1, len(chart.labels)),
        top=_top(chart),
        below=HEIGHT - _BOTTOM,
    )
    shapes = [*_axis(plot), *_labels(chart, plot), *_VALUES[chart.kind](chart, plot)]
    values = [value for series in chart.series for value in series.values]
    if not any(values):
        said = NOTHING if any(value is not None for value in values) else UNKNOWN
        shapes.append(Words(x=(WIDTH + _LEFT) / 2, y=HEIGHT / 2, text=said, anchor="middle", colour=FAINT))
    return Drawing(
        width=WIDTH,
        height=HEIGHT + _LEGEND * rows,
        title=f"{chart.title} ({chart.unit})",
        description=describe(chart),
        shapes=(*shapes, *legend),
    )


def describe(chart: Chart) -> str:
    """What kind of chart, from where to where, and of each series the least and the most."""
    if not chart.labels:
        return f"{chart.title}: nothing to show."
    said = [f"{chart.title}, in {chart.unit}, from {chart.labels[0]} to {chart.labels[-1]}."]
    for series in chart.series:
        known = [(value, label) for value, label in zip(series.values, chart.labels, strict=True) if value is not None]
        if not known:
            said.append(f"{series.name}: no data.")
        else:
            (least, _), (most, when) = min(known), max(known, key=lambda pair: pair[0])
            said.append(f"{series.name}: between {number(least)} and {number(most)}, the most in {when}.")
    return " ".join(said)


def number(value: float | None) -> str:
    """Without decimals where there are none, else with one."""
    if value is None or not isfinite(value):
        return "no data"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def shortened(text: str, room: float) -> str:
    """As much of the text as is about `room` wide."""
    most = max(3, int(room / (SIZE * _BREADTH)))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def finite(chart: Chart) -> Chart:
    """The same chart with None where a value is no number."""
    series = tuple(
        Series(name=one.name, values=tuple(v if v is not None and isfinite(v) else None for v in one.values))
        for one in chart.series
    )
    return Chart(kind=chart.kind, title=chart.title, unit=chart.unit, labels=chart.labels, series=series)


def _top(chart: Chart) -> float:
    """The least of 1, 2, 4, 5 times a power of ten, or a multiple of 4, that nothing stands out of."""
    columns = list(zip(*(series.values for series in chart.series), strict=True))
    if chart.kind == "stacked":
        most = max((sum(max(0.0, value or 0.0) for value in column) for column in columns), default=0.0)
    else:
        most = max((value or 0.0 for column in columns for value in column), default=0.0)
    if most <= _TICKS:
        return float(_TICKS)
    step = 10.0 ** floor(log10(most / _TICKS))
    return next(factor * step * _TICKS for factor in (1, 2, 2.5, 5, 10) if factor * step * _TICKS >= most)


def _axis(plot: _Plot) -> Iterator[Shape]:
    for tick in range(_TICKS + 1):
        value = plot.top * tick / _TICKS
        y = plot.y(value)
        yield Path(points=((_LEFT, y), (WIDTH, y)), colour=FAINT if tick == 0 else GRID, width=0.75)
        yield Words(x=_LEFT - 8, y=y + 4, text=number(value), anchor="end", colour=FAINT)


def _labels(chart: Chart, plot: _Plot) -> Iterator[Shape]:
    """As many as can stand beside each other; the last ones do not run over the edge."""
    needed = min(_LONGEST, max(map(len, chart.labels), default=0)) * SIZE * _BREADTH + _GAP
    every = max(1, ceil(needed / plot.slot), ceil(len(chart.labels) / _MOST_LABELS))
    for index, label in enumerate(chart.labels):
        if index % every == 0:
            text = shortened(label, max(needed, plot.slot * every) - _GAP)
            over = plot.x(index) + len(text) * SIZE * _BREADTH / 2 > WIDTH
            yield Words(
                x=WIDTH if over else plot.x(index),
                y=plot.below + 16,
                text=text,
                anchor="end" if over else "middle",
                colour=FAINT,
            )


def _bars(chart: Chart, plot: _Plot) -> Iterator[Shape]:
    many = max(1, len(chart.series))
    breadth = min(46.0, plot.slot * 0.72 / many)
    for index, label in enumerate(chart.labels):
        left = plot.x(index) - breadth * many / 2
        for place, series in enumerate(chart.series):
            value = series.values[index]
            if value is None or value <= 0:
                continue
            y = plot.y(value)
            title = f"{label}, {series.name}: {number(value)}"
            x = left + breadth * place
            yield Box(x=x, y=y, width=breadth, height=plot.below - y, colour=colour(place), title=title)
            if len(chart.labels) * many <= _NUMBERED:
                yield Words(x=x + breadth / 2, y=y - 4, text=number(value), anchor="middle")


def _stacks(chart: Chart, plot: _Plot) -> Iterator[Shape]:
    breadth = min(46.0, plot.slot * 0.72)
    for index, label in enumerate(chart.labels):
        below = 0.0
        for place, series in enumerate(chart.series):
            value = series.values[index]
            if value is None or value <= 0:
                continue
            y = plot.y(below + value)
            title = f"{label}, {series.name}: {number(value)}"
            x = plot.x(index) - breadth / 2
            yield Box(x=x, y=y, width=breadth, height=plot.y(below) - y, colour=colour(place), title=title)
            below += value
        if below and len(chart.labels) <= _NUMBERED:
            yield Words(x=plot.x(index), y=plot.y(below) - 4, text=number(below), anchor="middle")


def _lines(chart: Chart, plot: _Plot) -> Iterator[Shape]:
    for place, series in enumerate(chart.series):
        for run in _runs(series.values):
            points = tuple((plot.x(index), plot.y(max(0.0, value))) for index, value in run)
            if len(points) > 1:
                yield Path(points=points, colour=colour(place), width=2.0)
            for (x, y), (index, value) in zip(points, run, strict=True):
                title = f"{chart.labels[index]}, {series.name}: {number(value)}"
                yield Dot(
                    x=x,
                    y=y,
                    radius=2.5 if len(chart.labels) <= 2 * _NUMBERED else 1.5,
                    colour=colour(place),
                    title=title,
                )


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """What follows on each other without a gap."""
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((index, value))
    return [run for run in runs if run]


def _legend(chart: Chart) -> Iterator[Shape]:
    x, row = float(_LEFT), 0
    for place, series in enumerate(chart.series):
        text = shortened(series.name, 260)
        needed = 18 + len(text) * SIZE * _BREADTH + 22
        if x + needed > WIDTH and x > _LEFT:
            x, row = float(_LEFT), row + 1
        y = HEIGHT + _LEGEND * row
        yield Box(x=x, y=y + 1, width=11, height=11, colour=colour(place))
        yield Words(x=x + 18, y=y + 11, text=text)
        x += needed


def colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


_VALUES = {"bar": _bars, "stacked": _stacks, "line": _lines}
