"""A hold that comes at any step of a purge, a plan or an erasure, from another connection: what it finds, it keeps.

Each time the hold is begun before another statement of the deletion, which goes on when the hold is committed or waits.
KAIREON_HOLD_RACES says how often.
"""

import os
import threading
from dataclasses import dataclass
from random import Random

import psycopg
import pytest
from django.db import DatabaseError, connection, connections

from audit import services as log
from audit.sealing import subject_keys
from compliance.purging import applying, plans, purge
from compliance.purging.refusals import PlanRefused, Reason
from customers.models import Customer, DecisionTrace, Interaction
from dsar.requests.services import create_request
from kaireon.jobs import runner
from kaireon.jobs.models import JobState
from kaireon.lib import clock
from kaireon.lib.budget import Budget
from kaireon.tenancy.context import transaction
from tests.compliance.rows import ACME, ADA, NOW, customer, days_ago, end, hold, interactions, policy, traces

TIMES = int(os.environ.get("KAIREON_HOLD_RACES", "48")) // 6
MODELS = (Interaction, DecisionTrace)
LEVELS = ["read committed", "repeatable read"]
PATIENCE = 30
SERIALIZATION_FAILURE = "40001"


def isolated(level):
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}")


@dataclass
class OfOne:
    """A hold on everything of one customer, the key to what the log says of them included."""

    who: Customer

    def place(self):
        self.placed = hold(self.who)

    def end(self):
        end(self.placed)

    def covers(self):
        with ADA.here(), transaction():
            return [
                *(sorted(model.objects.filter(customer=self.who).values_list("pk", flat=True)) for model in MODELS),
                list(Customer.objects.filter(pk=self.who.pk).values_list("name", "customer_id")),
            ]

    def keys(self):
        """Of the log. There may be none yet, where the log has not heard of them."""
        with ADA.here(), transaction():
            return subject_keys.alive([str(self.who.pk)])


@dataclass
class OfSome(OfOne):
    """A hold on some of the interactions of one customer."""

    def place(self):
        self.placed = hold(self.who, entity="interactionHistory", from_at=days_ago(47))

    def covers(self):
        with ADA.here(), transaction():
            rows = Interaction.objects.filter(customer=self.who, occurred_at__gte=days_ago(47))
            return [sorted(rows.values_list("pk", flat=True))]

    def keys(self):
        return set()


@dataclass
class OfClass(OfSome):
    """A hold on all interactions there are."""

    def place(self):
        policy("interactions", 30, hold=True)

    def end(self):
        policy("interactions", 30, hold=False)

    def covers(self):
        with ADA.here(), transaction():
            return [sorted(Interaction.objects.filter(customer=self.who).values_list("pk", flat=True))]


SCOPES = (OfOne, OfSome, OfClass)


class Placing:
    """A hold, placed by a connection of its own; what there was of its rows when it was committed."""

    def __init__(self, scope, level, watching):
        self.scope, self.level, self.watching = scope, level, watching
        self.found = self.keys = self.pid = None
        self.error = None
        self.known, self.done = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._place)

    def begin(self):
        """Returns when it is committed, or waits for the deletion."""
        self.thread.start()
        assert self.known.wait(PATIENCE)
        while not self.done.wait(0.002) and not self._waits():
            pass

    def finish(self):
        self.thread.join(PATIENCE)
        assert self.done.is_set()
        assert self.error is None

    def _place(self):
        try:
            isolated(self.level)
            self.pid = connection.connection.info.backend_pid
            self.known.set()
            self.scope.place()
            self.found, self.keys = self.scope.covers(), self.scope.keys()
        except DatabaseError as error:
            self.error = error
        finally:
            self.known.set()
            self.done.set()
            connections.close_all()

    def _waits(self):
        asked = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
        return self.watching.execute(asked, [self.pid]).fetchone() == (True,)


def before_statement(number, call):
    """Counts the statements of this connection, and calls before the one of this number."""
    seen = [0]

    def wrapper(execute, *arguments):
        seen[0] += 1
        if seen[0] == number:
            call()
        return execute(*arguments)

    return connection.execute_wrapper(wrapper), seen


def a_purge(_who):
    def run():
        with ADA.here():
            purge.purge_expired(now=NOW, actor=ADA.actor, batch=3)

    return run


def a_plan(_who):
    with ADA.here(), transaction():
        plan = plans.make(actor=ADA.actor, now=NOW)

    def run():
        try:
            with ADA.here():
                applying.begin(plan_id=plan.pk, actor=ADA.actor, now=NOW)
                applying.go_on(plan_id=plan.pk, now=NOW, budget=Budget(PATIENCE), size=3)
        except PlanRefused as refusal:
            if refusal.reason is not Reason.HOLD_APPEARED:
                raise
        except DatabaseError as error:
            # In the stricter level the batch must begin anew, when the hold came after its snapshot.
            if getattr(error.__cause__, "sqlstate", "") != SERIALIZATION_FAILURE:
                raise

    return run


def an_erasure(who):
    """The whole of it, as a worker does it: rows, objects, the second look, the key to the log."""
    with ADA.here(), transaction():
        filed = create_request(request_type="delete", subject_id=who.customer_id, actor=ADA.actor, now=clock.now())
    # From here on there is a key to what the log says of them.
    log.drain(ACME)

    def run():
        with ADA.here():
            job = runner.run(job_id=filed.job.pk)
        # What a hold is in the way of is retained, and the rest done; in the stricter level the job is tried again.
        assert job.state == JobState.DONE or job.error, job.state

    return run


@pytest.fixture
def watching(superuser_url):
    with psycopg.connect(superuser_url, autocommit=True) as session:
        yield session


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("deleting", [a_purge, a_plan, an_erasure])
def test_what_a_hold_finds_it_keeps_at_whatever_step_it_comes(db, watching, level, deleting):
    random = Random(level + deleting.__name__)
    for data_class in ("interactions", "decisions", "profiles"):
        policy(data_class, 30)
    isolated(level)
    survived, steps = set(), None
    for turn in range(TIMES):
        who = customer(f"c-{turn}")
        interactions(who, 40, 45, 50, 55)
        traces(who, 40, 50)
        # The first counts the statements; then every part of the way gets its turn, the beginning and the end too.
        step = 10**9 if steps is None else 1 + (turn - 1) * (steps - 1) // (TIMES - 2)
        if 1 < turn < TIMES - 1:
            step = min(steps, step + random.randrange(1 + steps // TIMES))
        scope = SCOPES[turn % len(SCOPES)](who)
        placing = Placing(scope, level, watching)
        run = deleting(who)
        wrapper, seen = before_statement(step, placing.begin)
        with wrapper:
            run()
        counted, steps = steps is None, max(steps or 0, seen[0])
        if counted:
            # Later turns may take more: what an earlier one kept is looked at again.
            continue
        if placing.thread.ident is None:
            placing.begin()
        placing.finish()
        assert scope.covers() == placing.found, (type(scope).__name__, step, steps)
        assert placing.keys <= scope.keys(), (step, steps)
        survived.add(bool(placing.found[0]))
        scope.end()
    # Early ones kept the rows, late ones came when they were gone.
    assert survived == {True, False}
