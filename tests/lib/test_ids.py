import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from kaireon.lib import ids
from kaireon.lib.ids import moment_of, uuid7, uuid7_texts


def test_it_is_a_version_7_uuid_of_this_moment():
    before = time.time()
    identifier = uuid7()

    assert identifier.version == 7
    assert identifier.variant == "specified in RFC 4122"
    assert before - 0.002 <= moment_of(identifier).timestamp() <= time.time() + 0.002


def test_it_reads_the_example_of_rfc_9562():
    assert moment_of(UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")) == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)


def test_identifiers_rise_and_differ_across_threads():
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: [uuid7() for _ in range(2000)], range(4)))

    assert all(run == sorted(run) for run in runs)
    assert len({identifier for run in runs for identifier in run}) == 8000


def test_many_at_once_are_the_same_kind_and_rise_between_the_others():
    first, many, last = uuid7(), uuid7_texts(300), uuid7()

    assert [str(UUID(text)) for text in many] == many
    assert {UUID(text).version for text in many} == {7}
    assert {UUID(text).variant for text in many} == {"specified in RFC 4122"}
    assert [str(first), *many, str(last)] == sorted({str(first), *many, str(last)})


def test_they_keep_rising_when_the_clock_is_set_back(monkeypatch):
    now = time.time_ns()
    monkeypatch.setattr(ids.time, "time_ns", lambda: now - 3_600_000_000_000)
    first, second = uuid7(), uuid7()

    assert first < second


def test_other_versions_carry_no_time():
    with pytest.raises(ValueError, match="version 7"):
        moment_of(uuid4())
