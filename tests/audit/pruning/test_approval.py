"""Nothing is pruned without a second person's yes, and nothing twice."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connections

from audit.pruning import archive
from audit.pruning import prune as pruning
from kaireon.tenancy.context import transaction
from tests.audit.log import records, verdict
from tests.audit.pruning.old_log import POLICY_DAYS, applied, approve, approved, asked, policy
from tests.audit.pruning.old_log import tombstones as stones
from tests.cast import ACME, ADA

pytestmark = pytest.mark.usefixtures("db")


class TestApproval:
    def test_without_a_second_person_nothing_goes(self, size: int) -> None:
        request = asked()
        with pytest.raises(pruning.NotApproved, match="is pending, not approved"):
            applied(request)
        with pytest.raises(pruning.NotApproved, match="no request to prune"):
            applied(ADA.user.pk)
        assert stones() == []

    def test_a_hold_after_the_question_refuses_the_yes(self, size: int) -> None:
        request = asked()
        policy(hold=True)
        row = approve(request)
        assert (row.state, row.error) == ("failed", "held")

    def test_a_hold_after_the_yes_stops_it(self, size: int) -> None:
        request = approved()
        policy(hold=True)
        with pytest.raises(pruning.NothingToPrune, match="legal hold"):
            applied(request)
        policy(hold=False)
        assert not applied(request).again

    def test_a_hold_while_it_runs_stops_it_in_the_database(self, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        request = approved()
        keep = archive.keep

        def held_meanwhile(*args: Any, **more: Any) -> archive.Archive:
            kept = keep(*args, **more)
            policy(hold=True)
            return kept

        with monkeypatch.context() as slow:
            slow.setattr(archive, "keep", held_meanwhile)
            with pytest.raises(pruning.Refused, match="legal hold"):
                applied(request)
        assert stones() == []
        assert verdict(ACME).intact
        policy(hold=False)
        assert applied(request).tombstone.last_seq == size

    def test_a_longer_policy_after_the_yes_stops_it(self, size: int) -> None:
        request = approved()
        policy(POLICY_DAYS + 100)
        with pytest.raises(pruning.NothingToPrune):
            applied(request)

    def test_doing_it_twice_does_it_once(self, size: int) -> None:
        request = approved()
        first = applied(request)
        count = len(records(ACME))
        second = applied(request)
        assert (second.again, second.tombstone.note) == (True, first.tombstone.note)
        assert len(records(ACME)) == count
        with ADA.here(), transaction(), pytest.raises(pruning.NotApproved):
            pruning.approved_request()

    def test_two_at_once_do_it_once(self, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        request = approved()
        both_signed = Barrier(2)
        remove = pruning._remove

        def together(note: str) -> Any:
            both_signed.wait(timeout=30)
            return remove(note)

        monkeypatch.setattr(pruning, "_remove", together)

        def run(_: int) -> bool:
            try:
                return applied(request).again
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(run, range(2))) == [False, True]
        assert len(stones()) == 1
        assert verdict(ACME).intact

    def test_two_requests_for_the_same_remove_it_once(self, size: int) -> None:
        requests = [approved(), approved()]
        applied(requests[0])
        with pytest.raises(pruning.NothingToPrune):
            applied(requests[1])
