"""Nothing of a request changes: what the database refuses, and what is found when it could not."""

import psycopg
import pytest
from django.db import ProgrammingError, connection

from kaireon.approvals import sealed
from kaireon.approvals.models import ApprovalRequest, ApprovalVote, State
from kaireon.tenancy.context import transaction
from tests.approvals.conftest import BEA, NOON, TWO_STAGES, again, ask, decide
from tests.cast import ADA

CHANGES = {
    "payload": "payload = (SELECT payload FROM approvals_approvalrequest WHERE verb = 'test.do' AND id <> %(id)s)",
    "payload and digest": (
        "(payload, digest) = (SELECT payload, digest FROM approvals_approvalrequest"
        " WHERE verb = 'test.do' AND id <> %(id)s)"
    ),
    "payload cut": "payload = substring(payload for 40)",
    "payload gone": "payload = NULL",
    "digest": "digest = repeat('0', 64)",
    "verb": "verb = 'role.grant'",
    "stages": """stages = '[{"role": "admin", "yes": 1}]'""",
    "requester": "requested_by = 'somebody', requested_for = 'else'",
    "deadline": "deadline = deadline + interval '1 day'",
    "requester's type": "requested_by_type = 'api_key'",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_request_changed_behind_our_back_is_not_applied(admins, verb, superuser_url, change):
    done = verb(stages=TWO_STAGES)
    row, _other = ask(payload={"n": 1}), ask(payload={"n": 2})
    with psycopg.connect(superuser_url) as root:
        root.execute("SET session_replication_role = replica")
        changed = root.execute(
            f"UPDATE approvals_approvalrequest SET {CHANGES[change]} WHERE id = %(id)s", {"id": row.pk}
        )
        assert changed.rowcount == 1
    assert decide(row, BEA).error in ("request_changed", "stages_changed")
    assert again(row).state == State.FAILED
    assert done == []


@pytest.mark.parametrize("change", [c for c in CHANGES if c != "payload and digest"])
def test_the_database_refuses_such_changes_to_the_application(admins, verb, change):
    verb(stages=TWO_STAGES)
    row, _other = ask(payload={"n": 1}), ask(payload={"n": 2})
    with (
        ADA.here(),
        pytest.raises(ProgrammingError, match="never changes"),
        transaction(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE approvals_approvalrequest SET {CHANGES[change]} WHERE id = %(id)s", {"id": row.pk})


def test_the_database_keeps_closed_requests_closed_and_lets_nobody_answer_themselves(admins, verb):
    verb()
    row, own = ask(), ask()
    decide(row, BEA, "reject")
    with ADA.here(), pytest.raises(ProgrammingError, match="stays as it is"), transaction():
        ApprovalRequest.objects.filter(pk=row.pk).update(state=State.PENDING, decided_at=None)
    with ADA.here(), pytest.raises(ProgrammingError, match="their own"), transaction():
        ApprovalVote.objects.create(
            request=own, stage=0, answer="approve", member_id=str(ADA.user.pk), digest=own.digest, given_at=NOON
        )
    for statement in ("UPDATE approvals_approvalvote SET answer = 'approve'", "DELETE FROM approvals_approvalvote"):
        with ADA.here(), pytest.raises(ProgrammingError), transaction(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_what_is_sealed_is_not_readable_and_not_told_by_its_digest(admins, verb):
    verb()
    one, two = ask(payload={"email": "eve@acme.example"}), ask(payload={"email": "eve@acme.example"})
    assert b"eve" not in bytes(one.payload)
    assert one.digest != two.digest
    with pytest.raises(sealed.PayloadTooLong):
        ask(payload={"text": "x" * sealed.LONGEST})
