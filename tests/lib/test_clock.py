from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from kaireon.lib import clock


def test_now_is_aware_and_in_utc():
    assert clock.now().tzinfo is UTC


def test_a_frozen_clock_stands_and_gives_back_what_it_found():
    with clock.freeze(clock.at("09:00")) as nine:
        with clock.freeze(clock.at("10:00")):
            assert clock.now() == clock.at("10:00")
        assert clock.now() == nine
    assert clock.now() > nine


def test_at_reads_a_time_of_day_or_a_whole_moment():
    assert clock.at("09:00") == datetime(2026, 1, 15, 9, tzinfo=UTC)
    assert clock.at("09:00:01", on=date(2026, 2, 1)) == datetime(2026, 2, 1, 9, 0, 1, tzinfo=UTC)
    assert clock.at("2026-03-01T09:00") == datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert clock.at("2026-03-01T09:00+05:30") == datetime(2026, 3, 1, 3, 30, tzinfo=UTC)
    with pytest.raises(ValueError, match="isoformat"):
        clock.at("nine")


def test_a_moment_has_one_spelling():
    ist = timezone(timedelta(hours=5, minutes=30))

    assert clock.rfc3339(datetime(2026, 1, 15, 14, 30, 0, 7, tzinfo=ist)) == "2026-01-15T09:00:00.000007Z"


def test_a_naive_moment_is_refused():
    with pytest.raises(clock.NaiveMoment):
        clock.rfc3339(datetime(2026, 1, 15))  # noqa: DTZ001 - the point of the test
    with pytest.raises(clock.NaiveMoment), clock.freeze(datetime(2026, 1, 15)):  # noqa: DTZ001
        pass
