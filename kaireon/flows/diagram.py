"""A flow as a picture: steps in columns by how many lie before them, lines between. Inline SVG, no script."""

from collections.abc import Mapping

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from kaireon.flows.definition import Flow

WIDTH, HEIGHT = 168, 46
ACROSS, DOWN = 48, 18
_LONGEST = 20

# A step's state and how its box is drawn: border, fill.
COLOURS: Mapping[str, tuple[str, str]] = {
    "": ("#3e8399", "none"),
    "waiting": ("#8a97a0", "none"),
    "running": ("#2b6a80", "#2b6a8022"),
    "done": ("#2e7d52", "#2e7d5222"),
    "failed": ("#b3261e", "#b3261e22"),
}


def svg(flow: Flow, *, states: Mapping[str, str] | None = None, notes: Mapping[str, str] | None = None) -> SafeString:
    """The flow's diagram; `states` colour its steps, `notes` stand below their names instead of their nodes."""
    places = _places(flow)
    width = max(x for x, _ in places.values()) + WIDTH + 2
    height = max(y for _, y in places.values()) + HEIGHT + 2
    lines = format_html_join(
        "",
        '<path d="M{} {} C{} {},{} {},{} {}" fill="none" stroke="currentColor" stroke-opacity="0.45"/>',
        (_line(places[need], places[step.name]) for step in flow.order for need in step.needs),
    )
    boxes = format_html_join(
        "",
        '<g><title>{}: {}</title><rect x="{}" y="{}" width="{}" height="{}" rx="8" stroke="{}" fill="{}"/>'
        '<text x="{}" y="{}" font-weight="600">{}</text><text x="{}" y="{}" fill-opacity="0.75">{}</text></g>',
        (
            (
                step.name,
                (states or {}).get(step.name, step.kind),
                *places[step.name],
                WIDTH,
                HEIGHT,
                *COLOURS[(states or {}).get(step.name, "")],
                places[step.name][0] + 10,
                places[step.name][1] + 19,
                _short(step.name),
                places[step.name][0] + 10,
                places[step.name][1] + 36,
                _short((notes or {}).get(step.name, step.kind)),
            )
            for step in flow.order
        ),
    )
    return format_html(
        '<svg role="img" aria-label="Steps of the pipeline" viewBox="-1 -1 {} {}" width="{}" height="{}" '
        'class="k-diagram" font-size="12" fill="currentColor">{}{}</svg>',
        width,
        height,
        width,
        height,
        lines,
        boxes,
    )


def _places(flow: Flow) -> dict[str, tuple[int, int]]:
    columns: dict[str, int] = {}
    taken: dict[int, int] = {}
    places: dict[str, tuple[int, int]] = {}
    for step in flow.order:
        column = max((columns[need] + 1 for need in step.needs), default=0)
        row = taken.get(column, 0)
        columns[step.name], taken[column] = column, row + 1
        places[step.name] = (column * (WIDTH + ACROSS), row * (HEIGHT + DOWN))
    return places


def _line(start: tuple[int, int], end: tuple[int, int]) -> tuple[int, ...]:
    x1, y1 = start[0] + WIDTH, start[1] + HEIGHT // 2
    x2, y2 = end[0], end[1] + HEIGHT // 2
    bend = ACROSS // 2
    return (x1, y1, x1 + bend, y1, x2 - bend, y2, x2, y2)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
