"""What stands in the way of a prune."""

import psycopg
import pytest

from audit.pruning import prune as pruning
from kaireon.tenancy.context import transaction
from tests.audit.log import records
from tests.audit.pruning.old_log import planned, policy, sealed, triggers_off
from tests.cast import ACME, ADA

pytestmark = pytest.mark.usefixtures("db")


class TestInTheWay:
    def test_no_policy(self, superuser: psycopg.Connection) -> None:
        sealed(10, superuser, days_ago=5000)
        assert planned().in_the_way == ("no retention policy for the class audit: the log is kept",)

    def test_a_slip_of_the_hand_clears_no_evidence(self, superuser: psycopg.Connection) -> None:
        policy(1)
        sealed(10, superuser, days_ago=364)
        sealed(10, superuser, days_ago=1)
        plan = planned()
        assert (plan.records, plan.policy_days, plan.kept_days) == (0, 1, 365)
        assert plan.in_the_way == ("no published checkpoint of 365 days ago seals a record that is still kept",)

    def test_what_was_not_published_stays(self, superuser: psycopg.Connection) -> None:
        policy()
        sealed(10, superuser, days_ago=1000, published=False)
        assert planned().records == 0

    def test_the_last_record_stays(self, superuser: psycopg.Connection) -> None:
        policy()
        sealed(10, superuser, days_ago=1000)
        records(ACME)
        # The key brought a record; without it the checkpoint would seal the whole log.
        with triggers_off(superuser):
            superuser.execute("UPDATE audit_head SET seq = (SELECT max(tree_size) FROM audit_checkpoint)")
        assert planned().records == 0

    def test_a_hold(self, size: int) -> None:
        policy(hold=True)
        plan = planned()
        assert plan.in_the_way == ("the class audit is on legal hold",)
        assert plan.records == size
        with ADA.here(), transaction(), pytest.raises(pruning.NothingToPrune, match="legal hold"):
            pruning.ask(plan, actor=ADA.actor, now=plan.newest)  # type: ignore[arg-type]
