"""How many customers were how engaged, day by day, as a picture: bands on top of each other. Inline SVG, no script."""

from collections.abc import Sequence
from datetime import timedelta

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from customers.models import EngagementDay

WIDTH, HEIGHT = 720, 200
_LEFT, _TOP, _BOTTOM = 56, 8, 24
# From below, with how each is drawn.
BANDS = (("engaged", "#2e7d52"), ("fading", "#c98a1b"), ("dormant", "#8a97a0"))


def svg(days: Sequence[EngagementDay]) -> SafeString | str:
    """The bands of these days, oldest first, whatever days are missing. Nothing for less than two days."""
    if len(days) < 2:
        return ""
    first, last = days[0].day, days[-1].day
    most = max(1, *(day.customers for day in days))
    plot = HEIGHT - _TOP - _BOTTOM

    def x(day: EngagementDay) -> float:
        return _LEFT + (WIDTH - _LEFT) * ((day.day - first) / timedelta(days=1)) / (last - first).days

    def y(count: int) -> float:
        return _TOP + plot * (1 - count / most)

    below = [0] * len(days)
    areas = []
    for name, colour in BANDS:
        above = [low + getattr(day, name) for low, day in zip(below, days, strict=True)]
        there = [f"{x(day):.1f},{y(count):.1f}" for day, count in zip(days, above, strict=True)]
        back = [f"{x(day):.1f},{y(count):.1f}" for day, count in zip(days, below, strict=True)][::-1]
        areas.append((colour, colour, " ".join(there + back), name, getattr(days[-1], name)))
        below = above
    drawn = format_html_join(
        "",
        '<polygon fill="{}" fill-opacity="0.55" stroke="{}" points="{}"><title>{}: {} at last</title></polygon>',
        areas,
    )
    marks = format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="{}">{}</text>',
        (
            (_LEFT - 8, _TOP + 10, "end", f"{most:,}"),
            (_LEFT - 8, HEIGHT - _BOTTOM, "end", "0"),
            (_LEFT, HEIGHT - 6, "start", str(first)),
            (WIDTH, HEIGHT - 6, "end", str(last)),
        ),
    )
    legend = format_html_join(
        "",
        '<rect x="{}" y="{}" width="10" height="10" fill="{}" fill-opacity="0.7"/><text x="{}" y="{}">{}</text>',
        (
            (_LEFT + 220 + 110 * n, HEIGHT - 15, colour, _LEFT + 236 + 110 * n, HEIGHT - 6, name)
            for n, (name, colour) in enumerate(BANDS)
        ),
    )
    return format_html(
        '<svg role="img" aria-label="Customers by band, {} to {}" viewBox="0 0 {} {}" class="k-diagram"'
        ' font-size="12" fill="currentColor">{}{}{}</svg>',
        first,
        last,
        WIDTH,
        HEIGHT,
        drawn,
        marks,
        legend,
    )
