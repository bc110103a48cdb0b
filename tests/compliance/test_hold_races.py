"""A hold that comes at any step of a purge or an erasure, from another connection: what it finds there, it keeps.

Each time the hold is begun before another statement of the deletion, which goes on when the hold is committed or waits.
KAIREON_HOLD_RACES says how often.
"""

import os
import threading
from random import Random

import psycopg
import pytest
from django.db import DatabaseError, connection, connections

from compliance.purging import purge
from customers.models import Customer, DecisionTrace, Interaction
from dsar import erasure
from dsar.services import create_request
from kaireon.tenancy.context import transaction
from tests.compliance.rows import ADA, NOW, customer, end, hold, interactions, policy, traces

TIMES = int(os.environ.get("KAIREON_HOLD_RACES", "24")) // 4
MODELS = (Interaction, DecisionTrace)
LEVELS = ["read committed", "repeatable read"]
PATIENCE = 30
SERIALIZATION_FAILURE = "40001"


def isolated(level):
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}")


class Placing:
    """A hold on one customer, placed by a connection of its own; what there was when it was committed."""

    def __init__(self, who, level, watching):
        self.who, self.level, self.watching = who, level, watching
        self.placed = self.found = self.pid = None
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
            self.placed = hold(self.who)
            self.found = rows_of(self.who)
        except DatabaseError as error:
            self.error = error
        finally:
            self.known.set()
            self.done.set()
            connections.close_all()

    def _waits(self):
        asked = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
        return self.watching.execute(asked, [self.pid]).fetchone() == (True,)


def rows_of(who):
    """What can be told of this customer."""
    with ADA.here(), transaction():
        return [
            *(sorted(model.objects.filter(customer=who).values_list("pk", flat=True)) for model in MODELS),
            list(Customer.objects.filter(pk=who.pk).values_list("name", "customer_id")),
        ]


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


def an_erasure(who):
    with ADA.here(), transaction():
        filed = create_request(request_type="delete", subject_id=who.customer_id, actor=ADA.actor, now=NOW)

    def run():
        try:
            with ADA.here(), transaction():
                erasure.erase_rows(request_id=filed.request.pk, now=NOW)
        except DatabaseError as error:
            # In the stricter level the erasure must begin anew, when the hold came after its snapshot.
            if getattr(error.__cause__, "sqlstate", "") != SERIALIZATION_FAILURE:
                raise

    return run


@pytest.fixture
def watching(superuser_url):
    with psycopg.connect(superuser_url, autocommit=True) as session:
        yield session


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("deleting", [a_purge, an_erasure])
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
        placing = Placing(who, level, watching)
        run = deleting(who)
        wrapper, seen = before_statement(step, placing.begin)
        with wrapper:
            run()
        if steps is None:
            steps = seen[0]
            continue
        if placing.thread.ident is None:
            placing.begin()
        placing.finish()
        assert rows_of(who) == placing.found, (step, steps)
        survived.add(bool(placing.found[0]))
        end(placing.placed)
    # Early ones kept the rows, late ones came when they were gone.
    assert survived == {True, False}
