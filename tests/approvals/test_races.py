"""Several people at once, a verb that breaks, a process that dies: what was asked for happens once or not at all."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import psycopg
import pytest
from django.db import IntegrityError, connection, connections

from audit import services as log
from audit.models import AuditRecord
from kaireon.approvals import members as approved_members
from kaireon.approvals import services
from kaireon.approvals.models import ApprovalRequest, ApprovalVote, State
from kaireon.approvals.registry import Stage
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import Membership, User
from kaireon.tenancy.roles import Role
from tests.approvals.conftest import BEA, CY, NOON, again, ask, decide
from tests.caller import error_of, with_session
from tests.cast import ACME, ADA, ED, Person


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What each gave, or the exception it raised, all begun together."""
    start = threading.Barrier(len(calls))
    results: dict[int, object] = {}

    def run(number: int, call: Callable[[], object]) -> None:
        try:
            start.wait(20)
            results[number] = call()
        except (services.AlreadyAnswered, services.AlreadyDecided, services.TooLate) as error:
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [results[number] for number in range(len(calls))]


@pytest.fixture
def demanded(admins):
    with ADA.here(), transaction():
        services.demand_second_person(approved_members.GRANT, demanded=True, now=clock.now())


def asked() -> str:
    answer = with_session(ADA.email).post("/members", {"email": "new@acme.example", "role": "editor", "name": "Nia"})
    assert answer.status_code == 202
    return f"/approvals/{answer.json()['approval']['id']}"


def members() -> list[str]:
    with ADA.here(), transaction():
        return list(Membership.objects.filter(user__email="new@acme.example").values_list("role", flat=True))


def told(*actions: str) -> Counter:
    log.drain(ACME)
    with ADA.here(), transaction():
        return Counter(AuditRecord.objects.filter(action__in=actions).values_list("action", flat=True))


def test_of_two_people_who_agree_at_once_one_is_told_it_is_done(demanded):
    path, callers = asked(), [with_session(BEA.email), with_session(CY.email)]
    answers = at_once(*(partial(c.post, path, {"action": "approve"}) for c in callers))
    assert sorted(a.status_code for a in answers) == [200, 409]
    assert {error_of(a)["code"] for a in answers if a.status_code == 409} == {"already_decided"}
    assert members() == ["editor"]
    assert told("approval.apply", "approval.approve") == {"approval.apply": 1, "approval.approve": 1}


def test_one_person_who_clicks_five_times_agrees_once(demanded):
    path, callers = asked(), [with_session(BEA.email) for _ in range(5)]
    answers = at_once(*(partial(c.post, path, {"action": "approve"}) for c in callers))
    assert Counter(a.status_code for a in answers) == {200: 1, 409: 4}
    assert {error_of(a)["code"] for a in answers if a.status_code == 409} == {"already_answered"}
    assert members() == ["editor"]


def test_one_person_who_clicks_twice_is_not_two_people(admins, verb):
    done = verb(stages=(Stage(role=Role.ADMIN, yes=2),))
    row = ask()
    results = at_once(*[partial(decide, row, BEA)] * 3)
    assert sum(isinstance(r, services.AlreadyAnswered) for r in results) == 2
    assert (again(row).state, done) == (State.PENDING, [])


def test_a_yes_and_a_no_at_once_are_one_of_them(admins, verb):
    done = verb()
    for _ in range(5):
        row = ask()
        before = len(done)
        results = at_once(partial(decide, row, BEA), partial(decide, row, CY, "reject"))
        assert sum(isinstance(r, services.AlreadyDecided) for r in results) == 1
        state = again(row).state
        assert state in (State.APPROVED, State.REJECTED)
        assert len(done) - before == (state == State.APPROVED)


def test_a_yes_and_taking_it_back_at_once_are_one_of_them(admins, verb):
    done = verb()

    def take_back(row):
        with ADA.here(), transaction():
            services.cancel(request_id=row.pk, actor=ADA.actor, now=NOON)

    for _ in range(5):
        row = ask()
        before = len(done)
        results = at_once(partial(decide, row, BEA), partial(take_back, row))
        assert sum(isinstance(r, services.AlreadyDecided) for r in results) == 1
        assert len(done) - before == (again(row).state == State.APPROVED)


def test_a_yes_in_the_last_moment_and_the_end_of_time_are_one_of_them(admins, verb):
    done = verb(valid_for=timedelta(hours=1))

    def expire():
        with ADA.here(), transaction():
            return services.expire_due(now=NOON + timedelta(hours=1))

    for _ in range(5):
        row = ask()
        before = len(done)
        last = NOON + timedelta(hours=1) - timedelta(microseconds=1)
        at_once(partial(decide, row, BEA, now=last), expire)
        expire()
        state = again(row).state
        assert state in (State.APPROVED, State.EXPIRED)
        assert len(done) - before == (state == State.APPROVED)
        with ADA.here(), transaction():
            assert ApprovalVote.objects.filter(request=row).count() == (state == State.APPROVED)


def test_a_verb_that_breaks_answers_500_and_leaves_the_request_as_it_was(demanded, monkeypatch):
    path = asked()
    bea = with_session(BEA.email)
    grant_role = approved_members.members.grant_role

    def half(**given):
        grant_role(**given)
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(approved_members.members, "grant_role", half)
        answer = bea.post(path, {"action": "approve"})
    assert (answer.status_code, members()) == (500, [])
    shown = bea.get(path).json()
    assert (shown["state"], shown["answers"], shown["mayAnswer"]) == ("pending", [], True)
    assert not User.objects.filter(email="new@acme.example").exists()
    assert told("approval.apply", "approval.approve", "approval.fail") == {}
    # Nothing was used up: the same person may try again.
    assert bea.post(path, {"action": "approve"}).status_code == 200
    assert members() == ["editor"]


def test_what_the_database_refuses_at_the_commit_takes_the_yes_back(admins, verb, superuser_url):
    with psycopg.connect(superuser_url) as root:
        root.execute("CREATE TABLE promise_kept (id int PRIMARY KEY)")
        root.execute("CREATE TABLE promise (kept int REFERENCES promise_kept DEFERRABLE INITIALLY DEFERRED)")
        root.execute("GRANT INSERT ON promise TO kaireon_app")

    def apply(payload):
        User.objects.filter(pk=ED.user.pk).update(name="Half done")
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO promise VALUES (1)")

    verb(apply=apply)
    row = ask()
    with pytest.raises(IntegrityError, match="promise"):
        decide(row, BEA)
    assert (again(row).state, ED.user.name) == (State.PENDING, "Ed")
    with ADA.here(), transaction():
        assert not ApprovalVote.objects.exists()


# Bea agrees, and her process is killed when the last yes has been applied and not committed.
KILLED = """
import os, signal, sys
import django

django.setup()
from kaireon.approvals import members, services
from kaireon.lib import clock
from kaireon.tenancy.context import Actor, scope, transaction

grant_role = members.members.grant_role

def grant(**given):
    made = grant_role(**given)
    if sys.argv[3] == "inside":
        os.kill(os.getpid(), signal.SIGKILL)
    return made

members.members.grant_role = grant
bea = Actor(id=sys.argv[2], name="Bea", type="user")
with scope(tenant_id="acme", actor=bea), transaction():
    row = services.decide(request_id=sys.argv[1], answer="approve", actor=bea, now=clock.now())
    print(row.state, flush=True)
    if sys.argv[3] == "before the commit":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def agree(request_id: object, person: Person, moment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(request_id), str(person.user.pk), moment],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("moment", ["inside", "before the commit"])
def test_a_process_that_dies_while_it_applies_leaves_the_request_as_it_was(demanded, moment):
    asked()
    with ADA.here(), transaction():
        row = ApprovalRequest.objects.get()
    assert agree(row.pk, BEA, moment).returncode == -signal.SIGKILL
    assert (again(row).state, members()) == (State.PENDING, [])
    done = agree(row.pk, BEA, "never")
    assert done.stdout == "approved\n", done.stderr
    assert (again(row).state, members()) == (State.APPROVED, ["editor"])
    assert told("approval.apply", "approval.approve") == {"approval.apply": 1, "approval.approve": 1}
