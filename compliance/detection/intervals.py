"""Arithmetic of spans of time. Pure. A span is half open: what happens at its end belongs to the next."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple


class Span(NamedTuple):
    begins: datetime
    ends: datetime


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as can be, in order; empty ones go."""
    found: list[Span] = []
    for span in sorted(s for s in spans if s.begins < s.ends):
        if found and span.begins <= found[-1].ends:
            found[-1] = Span(found[-1].begins, max(found[-1].ends, span.ends))
        else:
            found.append(span)
    return found


def among(spans: Iterable[Span]) -> Callable[[datetime], bool]:
    """Tells of a moment whether it is in one of the spans, however many there are."""
    there = merged(spans)
    starts = [span.begins for span in there]

    def has(moment: datetime) -> bool:
        place = bisect_right(starts, moment)
        return place > 0 and moment < there[place - 1].ends

    return has


def gaps(covered: Iterable[Span], within: Span) -> list[Span]:
    """What of a span is not covered."""
    left: list[Span] = []
    begins = within.begins
    for span in merged(covered):
        if span.ends <= begins or span.begins >= within.ends:
            continue
        if span.begins > begins:
            left.append(Span(begins, span.begins))
        begins = max(begins, span.ends)
    if begins < within.ends:
        left.append(Span(begins, within.ends))
    return left
