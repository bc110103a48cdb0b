"""What the nightly job does about the log itself: it plans, asks once, and writes down; people remove."""

import json
from datetime import timedelta

import psycopg
import pytest
from django.core.management import call_command

from audit import services
from audit.models import AuditRecord
from audit.pruning import prune
from compliance.models import Disposition
from cron import runner
from cron.models import Trigger
from kaireon.approvals import services as approvals
from kaireon.approvals.models import ApprovalRequest
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Membership
from tests.audit.conftest import superuser  # noqa: F401
from tests.audit.log import records, verdict
from tests.audit.pruning.conftest import size  # noqa: F401
from tests.audit.pruning.old_log import BEA, POLICY_DAYS, approve, policy, sealed
from tests.audit.pruning.old_log import tombstones as stones
from tests.cast import ACME, ADA
from tests.compliance.rows import hold

pytestmark = pytest.mark.usefixtures("size")


def cleanup(**options):
    """What the job said of Acme's log."""
    ran = runner.run_job("cleanup", trigger=Trigger.COMMAND, **options)
    assert ran.ok
    (entry,) = [entry for entry in ran.body["perTenant"] if entry["tenantId"] == ACME]
    return entry["auditLog"], entry["warnings"]


def requests():
    with ADA.here(), transaction():
        return list(ApprovalRequest.objects.filter(verb=prune.VERB).order_by("requested_at"))


def dispositions():
    with ADA.here(), transaction():
        return list(Disposition.objects.filter(entity="auditRecord"))


def in_days(days):
    return clock.freeze(clock.now() + timedelta(days=days))


def test_old_records_go_through_the_tombstone_by_a_second_persons_yes_and_the_log_verifies(size, capsys):  # noqa: F811
    before = records(ACME)
    assert cleanup() == ({"standing": "asked", "records": size}, [])
    (request,) = requests()
    assert (request.requested_by_name, request.state) == ("Ada", "pending")
    assert cleanup()[0]["standing"] == "waits"
    assert approve(request.pk).state == "approved"
    said, warnings = cleanup()
    assert (said["standing"], warnings) == (
        "approved",
        ["a prune of the audit log was agreed to and waits for audit_prune --apply"],
    )
    with ADA.here(), transaction():
        # Nobody's yes removes anything by itself.
        assert AuditRecord.objects.order_by("seq").first().seq == 1
    call_command("audit_prune", "--tenant", ACME, "--apply", "--json", verbosity=0)
    assert json.loads(capsys.readouterr().out)["lastSeq"] == size
    assert (dispositions(), len(requests())) == ([], 1)

    assert cleanup()[0]["standing"] == "nothing_due"
    kept = records(ACME)
    assert (kept[0].seq, kept[0].prev_hash) == (size + 1, before[size - 1].integrity_hash)
    found = verdict(ACME)
    assert (found.intact, found.verified) == (True, len(kept))
    (said,) = dispositions()
    (stone,) = stones()
    assert (said.rows, said.method, said.run) == (size, "pruned", request.pk)
    assert (said.clock_from, said.clock_until, said.first_at) == (stone.oldest, stone.newest, stone.pruned_at)
    assert (said.retention_days, said.policy_version, said.law) == (POLICY_DAYS, 1, "")
    assert (said.done_by_name, said.approved_by_name) == ("Ada", "Bea")
    cleanup()
    assert len(dispositions()) == 1


def test_it_asks_once_whatever_the_answer_and_again_after_a_month(size):  # noqa: F811
    cleanup()
    (request,) = requests()
    with BEA.here(), transaction():
        approvals.decide(request_id=request.pk, answer="reject", actor=BEA.actor, now=clock.now())
    for days in (1, 29):
        with in_days(days):
            assert cleanup()[0]["standing"] == "asked_lately"
    with in_days(31):
        assert cleanup()[0]["standing"] == "asked"
        assert cleanup()[0]["standing"] == "waits"
    assert len(requests()) == 2


def test_what_somebody_asked_for_by_hand_is_not_asked_for_again(size):  # noqa: F811
    services.drain(ACME)
    with BEA.here(), transaction():
        prune.ask(prune.make_plan(now=clock.now()), actor=BEA.actor, now=clock.now())
    assert cleanup()[0]["standing"] == "waits"
    assert len(requests()) == 1


def test_in_whose_name_it_is_asked_cannot_agree(size):  # noqa: F811
    cleanup()
    (request,) = requests()
    with ADA.here(), transaction(), pytest.raises(approvals.OwnRequest):
        approvals.decide(request_id=request.pk, answer="approve", actor=ADA.actor, now=clock.now())


@pytest.mark.parametrize("by", ["class", "matter"])
def test_a_hold_leaves_it_alone_also_one_that_comes_before_the_yes(size, by):  # noqa: F811
    def place():
        return policy(hold=True) if by == "class" else hold(data_class="audit")

    cleanup()
    (request,) = requests()
    place()
    failed = approve(request.pk)
    assert (failed.state, failed.error) == ("failed", "held")
    with in_days(40):
        assert cleanup()[0] == {"standing": "in_the_way", "records": size}
    assert (len(requests()), stones()) == (1, [])


def test_a_longer_policy_or_none_leaves_it_alone(size):  # noqa: F811
    policy(POLICY_DAYS + 30)
    assert cleanup()[0] == {"standing": "nothing_due", "records": 0}
    assert requests() == []


def test_nothing_goes_behind_what_is_too_young(size, superuser: psycopg.Connection):  # noqa: F811
    sealed(5, superuser, days_ago=POLICY_DAYS + 1)
    assert cleanup()[0]["records"] == size


def test_where_nobody_may_ask_it_says_so(size):  # noqa: F811
    with BEA.here(), transaction():
        Membership.objects.filter(user_id=ADA.actor.id).update(role="viewer")
    said, warnings = cleanup()
    assert (said["standing"], requests()) == ("nobody_asks", [])
    assert warnings == ["records of the audit log are due, and who decided its policy may not ask for their prune"]


def test_a_dry_run_says_what_it_would_ask_and_does_not(size):  # noqa: F811
    assert cleanup(dry_run=True)[0] == {"standing": "asked", "records": size}
    assert requests() == []
