"""Killed while it spools or replays: each event is there once, or was never confirmed."""

from collections.abc import Callable
from functools import partial
from typing import Any

from audit import events
from tests.audit.kills.child import dying
from tests.audit.spool.events import refusals, refuse


def test_killed_at_any_call_of_the_system_while_it_spools_an_event_is_there_whole_or_was_never_confirmed(
    away: Callable[[], Any],
) -> None:
    deaths = 0
    with away():
        while dying(partial(refuse, deaths + 1), at_call=deaths + 1):
            deaths += 1
        kept = events.folder().waiting()
    assert deaths > 5
    events.replay()
    found = [int(r.entity_id.removeprefix("test:")) for r in refusals()]
    assert found == sorted(set(found))
    assert found[-1] == deaths + 1
    # Some died when theirs was on the disk already; of one that was cut short the piece stands aside.
    assert len(found) + events.folder().aside() == kept


def test_killed_at_any_call_of_the_system_while_it_replays_each_event_is_there_once(
    away: Callable[[], Any],
) -> None:
    with away():
        for number in range(5):
            refuse(number)
    (events.folder().folder / "current.spool").open("ab").write(b"cut short")
    deaths = 0
    while dying(events.replay, at_call=deaths + 1):
        deaths += 1
    assert deaths > 5
    assert [r.entity_id for r in refusals()] == [f"test:{n}" for n in range(5)]
    assert (events.folder().is_empty(), events.folder().aside()) == (True, 1)


def test_killed_at_any_statement_while_it_replays_each_event_is_there_once(away: Callable[[], Any]) -> None:
    with away():
        for number in range(3):
            refuse(number)
    deaths = 0
    while dying(events.replay, at_statement=deaths + 1):
        deaths += 1
    assert deaths > 5
    assert [r.entity_id for r in refusals()] == [f"test:{n}" for n in range(3)]
    assert events.folder().is_empty()
