"""What scans have covered: gaps are made up for, and nothing is told twice, whatever clocks and failures do."""

from datetime import timedelta
from typing import Any

import pytest

from compliance.detection import coverage, reading, scanning
from compliance.detection.intervals import Span
from compliance.detection.rules import Kind
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import scope, transaction
from kaireon.tenancy.models import Tenant
from tests.cast import ACME, ADA, SETUP
from tests.compliance.detection_log import (
    joined,
    run_flow,
    scan,
    signals,
    since,
    spans,
    write,
)

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
FIRST = Kind.FIRST_WORKFLOW


def test_the_first_scan_looks_back_ten_minutes_and_no_further(superuser_url):
    now, member = clock.now(), joined("new", timedelta(minutes=20))
    other = joined("new", timedelta(minutes=20))
    write(superuser_url, actor=member.id, at=now - 10 * MINUTE - timedelta(microseconds=1))
    write(superuser_url, actor=other.id, at=now - 10 * MINUTE)
    assert scan(now).raised == {FIRST: 1}
    assert [row.member_id for row in signals()] == [other.id]
    assert spans() == [(now - 10 * MINUTE, now)]


def test_downtime_is_made_up_for_by_the_next_scan_and_nothing_is_told_twice(superuser_url):
    start = clock.now() - timedelta(hours=6)
    scan(start)
    down = [joined("new") for _ in range(3)]
    for number, member in enumerate(down):
        since(member, start + timedelta(hours=number))
        write(superuser_url, actor=member.id, at=start + timedelta(hours=number, minutes=7))
    now = start + timedelta(hours=5)
    assert scan(now).raised == {FIRST: 3}
    assert scan(now + MINUTE).raised == {}
    assert spans() == [(start - 10 * MINUTE, now + MINUTE)]


def test_without_time_the_newest_comes_first_and_the_gap_stays_known(superuser_url):
    start = clock.now() - timedelta(hours=6)
    scan(start)
    early, late = joined("new"), joined("new")
    now = start + timedelta(hours=5)
    for member, moment in ((early, start + timedelta(hours=1)), (late, now - 2 * MINUTE)):
        since(member, moment - MINUTE)
        write(superuser_url, actor=member.id, at=moment)
    done = scan(now, budget=Budget(0))
    assert ([row.member_id for row in signals()], done.gaps) == ([late.id], 1)
    with scope(tenant_id=ACME, actor=SETUP), transaction():
        assert coverage.missing(now=now) == [(start, now - 10 * MINUTE)]
    assert scan(now + MINUTE).raised == {FIRST: 1}
    assert len(spans()) == 1


def test_a_gap_is_taken_in_slices_that_each_count(superuser_url, monkeypatch):
    monkeypatch.setattr(scanning, "SLICE", 2)
    start = clock.now() - timedelta(hours=6)
    scan(start)
    for number in range(9):
        member = joined("new")
        since(member, start + number * 20 * MINUTE)
        write(superuser_url, actor=member.id, at=start + (number * 20 + 1) * MINUTE)
    assert scan(start + timedelta(hours=5)).raised == {FIRST: 9}
    assert len(spans()) == 1


def test_a_moment_that_many_share_is_one_slice_and_makes_none_of_the_rest(superuser_url, monkeypatch):
    monkeypatch.setattr(scanning, "SLICE", 2)
    start = clock.now() - timedelta(hours=6)
    scan(start)
    moments = [start + MINUTE] * 5 + [start + 40 * MINUTE] * 3 + [start + 80 * MINUTE, start + 120 * MINUTE]
    for moment in moments:
        member = joined("new")
        since(member, moment - MINUTE)
        write(superuser_url, actor=member.id, at=moment)
    ends = start + timedelta(hours=5)
    assert scan(ends).raised == {FIRST: 10}
    with ADA.here(), transaction():
        cut = [reading.end_of_slice(ACME, Span(begins, ends), 2) for begins in (start, moments[0], moments[5])]
    assert cut == [moments[0], moments[5], moments[8]]
    assert len(spans()) == 1


def test_a_scan_that_fails_covers_nothing_and_the_next_makes_up_for_it(superuser_url, monkeypatch):
    start = clock.now() - timedelta(hours=2)
    scan(start)
    member = joined("new")
    since(member, start + MINUTE)
    write(superuser_url, actor=member.id, at=start + 2 * MINUTE)
    before = spans()

    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(scanning, "judge", broken)
        with pytest.raises(ValueError, match="broken"):
            scan(start + timedelta(hours=1))
    assert (spans(), signals()) == (before, [])
    assert scan(start + timedelta(hours=1, minutes=5)).raised == {FIRST: 1}


def test_a_tenant_that_was_made_while_nobody_scanned_is_looked_at_from_its_first_moment(superuser_url):
    now = clock.now() + timedelta(hours=2)
    member = joined("new")
    run_flow(member)
    assert scan(now, since=now - timedelta(hours=9)).raised == {FIRST: 1}
    with ADA.here(), transaction():
        assert spans()[0].begins == Tenant.objects.get(pk=ACME).created_at


def test_what_comes_late_with_its_own_time_is_looked_at(superuser_url):
    now = clock.now()
    scan(now)
    scan(now + timedelta(hours=2))
    member = joined("new")
    since(member, now + 29 * MINUTE)
    write(superuser_url, actor=member.id, at=now + 30 * MINUTE)
    done = scan(now + timedelta(hours=2, minutes=5))
    assert done.raised == {FIRST: 1}
    assert done.late > 0
    assert scan(now + timedelta(hours=2, minutes=10)).late == 0


def test_a_clock_that_is_set_back_leaves_nothing_out_and_tells_nothing_twice(superuser_url):
    now = clock.now()
    first, second, third = joined("new"), joined("new"), joined("new")
    since(first, now - 4 * MINUTE)
    write(superuser_url, actor=first.id, at=now - 3 * MINUTE)
    assert scan(now).raised == {FIRST: 1}
    # An hour back, on this machine and in the database; then nobody scans for half of it.
    back = now - timedelta(hours=1)
    for member, moment in ((second, back + MINUTE), (third, back + 25 * MINUTE)):
        since(member, moment - MINUTE)
        write(superuser_url, actor=member.id, at=moment)
    assert scan(back + 30 * MINUTE).raised == {FIRST: 2}
    assert scan(back + 35 * MINUTE).raised == {}
    assert scan(now + MINUTE).raised == {}
    assert {row.member_id for row in signals()} == {first.id, second.id, third.id}
