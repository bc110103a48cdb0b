"""Nobody alone, nobody twice, nothing late; and exactly once."""

import threading
from datetime import timedelta

import pytest
from django.db import connections

from audit import services as log
from audit.models import AuditRecord
from kaireon.approvals import people, services
from kaireon.approvals.models import ApprovalRequest, ApprovalVote, State
from kaireon.approvals.registry import Stage
from kaireon.tenancy import keys
from kaireon.tenancy.context import Actor, transaction
from kaireon.tenancy.models import ApiKey
from kaireon.tenancy.roles import Permission, Role
from tests.approvals.conftest import BEA, CY, NOON, TWO_STAGES, again, ask, decide
from tests.cast import ACME, ADA, AUD, ED, MALLORY, VI


def test_a_second_persons_yes_applies_it_once(admins, verb):
    done = verb()
    row = ask(payload={"n": 1, "text": "ü 秘密 🎉"})
    assert done == []
    assert decide(row, BEA, comments="Fine. 好 🎉").state == State.APPROVED
    assert done == [{"n": 1, "text": "ü 秘密 🎉"}]
    with pytest.raises(services.AlreadyDecided):
        decide(row, CY)
    assert len(done) == 1


def test_nobody_answers_their_own_request(admins, verb):
    verb()
    row = ask()
    for answer in ("approve", "reject"):
        with pytest.raises(services.OwnRequest):
            decide(row, ADA, answer)
    assert again(row).state == State.PENDING


def test_nobody_answers_what_their_key_asked_for(admins, verb):
    verb()
    with ADA.here(), transaction():
        first, _ = keys.create_key(name="one", role=Role.ADMIN, actor=ADA.actor)
        maker = Actor(id=str(first.pk), name="one", type="api_key")
        key, _ = keys.create_key(name="two", role=Role.ADMIN, actor=maker)
        asking = Actor(id=str(key.pk), name="two", type="api_key")
        row = services.ask(verb="test.do", payload={}, actor=asking, now=NOON)
    assert row.requested_for == str(ADA.user.pk)
    with pytest.raises(services.OwnRequest):
        decide(row, ADA)
    assert decide(row, BEA).state == State.APPROVED


def test_keys_that_made_each_other_are_nobodys(admins):
    with ADA.here(), transaction():
        key, _ = keys.create_key(name="one", role=Role.ADMIN, actor=ADA.actor)
        ApiKey.objects.filter(pk=key.pk).update(created_by=str(key.pk))
        assert people.person_behind(Actor(id=str(key.pk), name="one", type="api_key")) == ""


def test_a_key_has_no_yes_to_give(admins, verb):
    verb()
    row = ask()
    with BEA.here(), transaction():
        key, _ = keys.create_key(name="bot", role=Role.ADMIN, actor=BEA.actor)
        actor = Actor(id=str(key.pk), name="bot", type="api_key")
        with pytest.raises(services.PersonRequired):
            services.decide(request_id=row.pk, answer="approve", actor=actor, now=NOON)


def test_nobody_speaks_in_two_stages(admins, verb):
    done = verb(stages=TWO_STAGES)
    row = ask()
    assert (decide(row, BEA).state, again(row).stage) == (State.PENDING, 1)
    with pytest.raises(services.AlreadyAnswered):
        decide(row, BEA)
    assert done == []
    assert decide(row, CY).state == State.APPROVED
    assert done == [{"n": 1}]


def test_a_stage_may_want_several(admins, verb):
    done = verb(stages=(Stage(role=Role.ADMIN, yes=2),))
    row = ask()
    assert decide(row, BEA).state == State.PENDING
    assert decide(row, CY).state == State.APPROVED
    assert len(done) == 1


@pytest.mark.parametrize("person", [ED, AUD, VI], ids=lambda p: p.role)
def test_other_roles_are_not_asked(admins, verb, person):
    verb(permission=Permission.READ_AUDIT if person is AUD else Permission.READ_TENANT)
    row = ask(ADA)
    with pytest.raises(services.NotAsked):
        decide(row, person)
    # Asking needs the permission of the verb, no more.
    assert ask(person).state == State.PENDING


def test_asking_needs_the_permission_itself(admins, verb):
    verb(permission=Permission.MANAGE_RETENTION)
    for person in (ED, AUD, VI):
        with pytest.raises(services.RequesterMayNot):
            ask(person)
    for actor in (Actor.job("cleanup"), Actor.system()):
        with ADA.here(), transaction(), pytest.raises(services.RequesterMayNot):
            services.ask(verb="test.do", payload={}, actor=actor, now=NOON)


def test_what_no_member_asks_for_waits_for_two_and_is_called_off_by_the_product_alone(admins, verb):
    done = verb(by_nobody=True, stages=(Stage(role=Role.ADMIN, yes=2),), permission=Permission.MANAGE_RETENTION)
    row = ask(ADA)
    # Whoever was at it is not the one who asked: their yes is one of the two.
    assert (row.requested_by, row.requested_for, row.requested_by_type) == ("", "", "system")
    with ADA.here(), transaction(), pytest.raises(services.NotYours):
        services.cancel(request_id=row.pk, actor=Actor.system(), now=NOON)
    assert decide(row, ADA).state == State.PENDING
    assert decide(row, BEA).state == State.APPROVED
    assert done == [{"n": 1}]
    row = ask(ADA)
    with ADA.here(), transaction():
        services.call_off(request_id=row.pk, now=NOON)
    assert again(row).state == State.CANCELLED
    with ADA.here(), transaction(), pytest.raises(services.AlreadyDecided):
        services.call_off(request_id=row.pk, now=NOON)
    verb()
    members = ask(ADA)
    with ADA.here(), transaction(), pytest.raises(services.NotYours):
        services.call_off(request_id=members.pk, now=NOON)


def test_another_tenant_finds_nothing(admins, verb):
    verb()
    row = ask()
    with pytest.raises(ApprovalRequest.DoesNotExist):
        decide(row, MALLORY)
    # Nor does somebody else's session in our scope give a yes.
    with ADA.here(), transaction(), pytest.raises(services.NotAsked):
        services.decide(request_id=row.pk, answer="approve", actor=MALLORY.actor, now=NOON)


def test_late_is_late_to_the_microsecond(admins, verb):
    verb(valid_for=timedelta(hours=1))
    row = ask()
    for answer in ("approve", "reject"):
        with pytest.raises(services.TooLate):
            decide(row, BEA, answer, now=NOON + timedelta(hours=1))
    assert decide(row, BEA, now=NOON + timedelta(hours=1) - timedelta(microseconds=1)).state == State.APPROVED


def test_a_no_ends_it(admins, verb):
    done = verb(stages=TWO_STAGES)
    row = ask()
    assert decide(row, BEA, "reject", comments="No.\n" + "n" * 1900).state == State.REJECTED
    with pytest.raises(services.AlreadyDecided):
        decide(row, CY)
    assert done == []
    with ADA.here(), transaction():
        assert ApprovalVote.objects.get().comments.startswith("No.")


def test_only_who_asked_cancels(admins, verb):
    verb()
    row = ask()
    with BEA.here(), transaction(), pytest.raises(services.NotYours):
        services.cancel(request_id=row.pk, actor=BEA.actor, now=NOON)
    with ADA.here(), transaction():
        assert services.cancel(request_id=row.pk, actor=ADA.actor, now=NOON).state == State.CANCELLED
    with ADA.here(), transaction(), pytest.raises(services.AlreadyDecided):
        services.cancel(request_id=row.pk, actor=ADA.actor, now=NOON)
    with pytest.raises(services.AlreadyDecided):
        decide(row, BEA)


def test_of_two_last_yeses_exactly_one_applies(admins, verb):
    inside, go_on = threading.Event(), threading.Event()
    done: list[object] = []

    def apply(payload):
        inside.set()
        assert go_on.wait(10)
        done.append(payload)

    verb(apply=apply)
    row = ask()
    results: dict[str, object] = {}

    def say_yes(name, person):
        try:
            results[name] = decide(row, person).state
        except services.AlreadyDecided as e:
            results[name] = type(e)
        finally:
            connections.close_all()

    first = threading.Thread(target=say_yes, args=("bea", BEA))
    first.start()
    assert inside.wait(10)
    second = threading.Thread(target=say_yes, args=("cy", CY))
    second.start()
    second.join(0.5)
    assert second.is_alive()
    go_on.set()
    first.join(10)
    second.join(10)
    assert results == {"bea": State.APPROVED, "cy": services.AlreadyDecided}
    assert done == [{"n": 1}]
    with ADA.here(), transaction():
        assert ApprovalVote.objects.count() == 1


def test_two_yeses_at_once_for_a_stage_of_two_both_count(admins, verb):
    done = verb(stages=(Stage(role=Role.ADMIN, yes=2),))
    row = ask()
    threads = [
        threading.Thread(target=lambda p=person: (decide(row, p), connections.close_all())) for person in (BEA, CY)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (again(row).state, len(done)) == (State.APPROVED, 1)


def test_requests_past_their_deadline_expire(admins, verb):
    verb(valid_for=timedelta(hours=1))
    late, done = ask(), ask()
    decide(done, BEA)
    in_time = ask(now=NOON + timedelta(hours=1))
    with ADA.here(), transaction():
        assert services.expire_due(now=NOON + timedelta(hours=1)) == 1
        assert services.expire_due(now=NOON + timedelta(hours=1)) == 0
    assert [again(r).state for r in (late, done, in_time)] == [State.EXPIRED, State.APPROVED, State.PENDING]


def test_payloads_of_old_requests_are_forgotten(admins, verb):
    verb()
    row, pending = ask(), ask()
    decide(row, BEA)
    with ADA.here(), transaction():
        assert services.shred_old_payloads(now=NOON + timedelta(days=90)) == 0
        assert services.shred_old_payloads(now=NOON + timedelta(days=91)) == 1
    assert (again(row).payload, again(pending).payload is None) == (None, False)


def test_everything_is_in_the_log(admins, verb):
    verb(stages=TWO_STAGES, valid_for=timedelta(hours=1))
    row = ask(payload={"secret": "tulip"})
    decide(row, BEA, comments="about eve@acme.example")
    decide(row, CY)
    decide(ask(), BEA, "reject")
    ask()
    with ADA.here(), transaction():
        services.expire_due(now=NOON + timedelta(hours=2))
    log.drain(ACME)
    with ADA.here(), transaction():
        records = list(AuditRecord.objects.filter(entity_type__startswith="Approval").order_by("seq"))
    assert [(r.action, r.user_name) for r in records] == [
        ("approval.request", "Ada"),
        ("approval.approve", "Bea"),
        ("update", "Bea"),
        ("approval.approve", "Cy"),
        ("approval.apply", "Cy"),
        ("approval.request", "Ada"),
        ("approval.reject", "Bea"),
        ("approval.reject", "Bea"),
        ("approval.request", "Ada"),
        ("approval.expire", "Ada"),
    ]
    text = " ".join(str((r.changes, r.before, r.after)) for r in records)
    assert "tulip" not in text
    assert "eve@" not in text
