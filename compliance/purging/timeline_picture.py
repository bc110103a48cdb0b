"""The timeline as a picture: where each bar and mark of it stands. The template draws it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from compliance.purging.timeline import Lane, Timeline

LEFT, TOP, COLUMN, LANE = 150, 28, 56, 74
# Between the names and the first month: what is due already.
FIRST = LEFT + COLUMN + 12
BAR, BASE, HIGHEST, LEAST = 34, 60, 32, 2
# Where there is nothing to draw, so much less.
LESS = 26


@dataclass(frozen=True, kw_only=True)
class Bar:
    """`held` is the height of its upper part, which a hold keeps."""

    x: int
    y: int
    height: int
    held: int
    held_y: int
    middle: int
    count: int
    text_y: int


@dataclass(frozen=True, kw_only=True)
class Mark:
    x: int
    y: int
    height: int
    text: str
    text_y: int
    anchor: str


@dataclass(frozen=True, kw_only=True)
class Row:
    lane: Lane
    y: int
    base: int
    name_y: int
    says_y: int
    says: str
    bars: list[Bar]
    marks: list[Mark]


@dataclass(frozen=True, kw_only=True)
class Picture:
    width: int
    height: int
    first: int
    months: list[tuple[int, str]]
    due_x: int
    head_y: int
    rows: list[Row]


def draw(timeline: Timeline) -> Picture:
    rows: list[Row] = []
    below = TOP
    for lane in timeline.lanes:
        rows.append(_row(lane, below, timeline))
        below = rows[-1].base + LANE - BASE
    months = [
        (_x(i) + COLUMN // 2, f"{month:%b}" + (f" {month:%Y}" if i == 0 or month.month == 1 else ""))
        for i, month in enumerate(timeline.months)
    ]
    return Picture(
        width=_x(len(timeline.months)) + 4,
        height=below + 4,
        first=FIRST,
        months=months,
        due_x=LEFT + COLUMN // 2,
        head_y=TOP - 10,
        rows=rows,
    )


def _x(month: int) -> int:
    return FIRST + COLUMN * month


def _row(lane: Lane, y: int, timeline: Timeline) -> Row:
    counted = [(LEFT, lane.due, lane.held_due)]
    counted += [(_x(i), count, lane.held[i]) for i, count in enumerate(lane.months)]
    bars = [_bar(x, count, held, lane.most, y) for x, count, held in counted if count]
    return Row(
        lane=lane,
        y=y,
        base=y + (BASE if bars or lane.changes else BASE - LESS),
        name_y=y + (24 if bars or lane.changes else 12),
        says_y=y + (42 if bars or lane.changes else 28),
        says=_says(lane),
        bars=bars,
        marks=[_mark(change.at, change.text, y, timeline) for change in lane.changes],
    )


def _says(lane: Lane) -> str:
    if lane.days is None:
        return "no policy: kept"
    return f"{lane.days:,} days" + (", held" if lane.held_wholly else ", by law" if lane.floor else "")


def _bar(x: int, count: int, held: int, most: int, y: int) -> Bar:
    height = max(LEAST, round(HIGHEST * count / most))
    upper = min(height, round(height * held / count)) if held else 0
    top = y + BASE - height
    return Bar(
        x=x + (COLUMN - BAR) // 2,
        y=top + upper,
        height=height - upper,
        held=upper,
        held_y=top,
        middle=x + COLUMN // 2,
        count=count,
        text_y=top - 4,
    )


def _mark(at: datetime, text: str, y: int, timeline: Timeline) -> Mark:
    """Where a moment stands in its month."""
    at = at.astimezone(UTC)
    months = timeline.months
    place = max(i for i, month in enumerate(months) if month <= at.date())
    begin = datetime(months[place].year, months[place].month, 1, tzinfo=UTC)
    x = _x(place) + round(COLUMN * min(1.0, (at - begin) / timedelta(days=31)))
    right = place > len(months) // 2
    return Mark(
        x=x,
        y=y + 4,
        height=BASE - 4,
        text=f"{text} from {at:%d %b}",
        text_y=y + 12,
        anchor="end" if right else "start",
    )
