"""Who comes while a month is being dropped, at each step: a hold, a decision, a row, a reader, another drop, death.

The steps are held up by locks that another connection has: the drop waits for a writer of the month before it looks at
rows, and for a hold that is being placed before it looks at holds.
"""

import threading
from contextlib import contextmanager

import psycopg
import pytest
from django.db import DatabaseError, connection, connections

from audit import services as log
from audit.models import AuditRecord
from compliance.purging import purge
from customers.models import Interaction
from customers.partitions import ensure_months
from kaireon.tenancy.context import platform_scope, transaction
from tests.cast import ACME, ADA, GLOBEX, MALLORY
from tests.compliance.months import ALSO_IN_IT, IN_IT, JOB, PAST, dispositions, drop, drop_one, is_there
from tests.compliance.rows import connect, count, customer, days_ago, hold, interactions, policy
from tests.servers import SUITE

LEVELS = ["read committed", "repeatable read"]
PATIENCE = 30
INTO = (
    "INSERT INTO customers_interaction (id, tenant_id, customer_id, kind, channel, offer, quantity, currency,"
    " external_id, context, occurred_at, created_at)"
    " VALUES (gen_random_uuid(), %s, %s, 'visit', '', '', 1, '', 'late', '{}', %s, now())"
)


class Meanwhile:
    """Something that a thread does on a connection of its own; what came of it."""

    def __init__(self, work, watching, level="read committed"):
        self.work, self.watching, self.level = work, watching, level
        self.pid = self.result = self.error = None
        self.known, self.done = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run)

    def begin(self):
        """Returns when it is done or waits for a lock."""
        self.thread.start()
        assert self.known.wait(PATIENCE)
        asked = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
        while not self.done.wait(0.002) and self.watching.execute(asked, [self.pid]).fetchone() != (True,):
            pass
        return self

    def finish(self):
        self.thread.join(PATIENCE)
        assert self.done.is_set()
        if self.error:
            raise self.error
        return self.result

    @property
    def waits(self):
        return not self.done.is_set()

    def _run(self):
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {self.level}")
            self.pid = connection.connection.info.backend_pid
            self.known.set()
            self.result = self.work()
        except DatabaseError as error:
            self.error = error
        finally:
            self.known.set()
            self.done.set()
            connections.close_all()


@pytest.fixture
def watching(superuser_url):
    with psycopg.connect(superuser_url, autocommit=True) as session:
        yield session


@pytest.fixture
def theirs(db):
    """Mallory's customer; both tenants have rows in the month, and have kept it for long enough."""
    interactions(customer(), IN_IT, ALSO_IN_IT)
    policy("interactions", PAST)
    theirs = customer("m-1", who=MALLORY)
    interactions(theirs, IN_IT, ALSO_IN_IT, who=MALLORY)
    policy("interactions", PAST, who=MALLORY)
    return theirs


@contextmanager
def writing(who, *, row=None):
    """Somebody who writes into the month and has not committed."""
    with connect(SUITE.urls(connection.settings_dict["NAME"])["default"], tenant=who.tenant_id) as session:
        session.execute("SELECT partition_ensure('customers_interaction', '2025-11-01')")
        if row:
            session.execute(INTO, [who.tenant_id, row.pk, days_ago(IN_IT)])
        yield session


def all_or_nothing():
    """Neither tenant has lost a row, and nothing says so."""
    assert (is_there(), count(Interaction), count(Interaction, who=MALLORY)) == (True, 2, 2)
    assert (dispositions(), dispositions(MALLORY)) == ([], [])
    for who in (ADA, MALLORY):
        log.drain(who.tenant_id)
        with who.here(), transaction():
            assert not AuditRecord.objects.filter(action__in=[purge.VERB, "delete"]).exists()


@pytest.mark.parametrize("level", LEVELS)
def test_a_hold_that_comes_after_the_first_look_keeps_it(theirs, watching, level):
    with writing(ADA):
        dropping = Meanwhile(drop_one, watching).begin()
        assert dropping.waits
        Meanwhile(lambda: hold(theirs, who=MALLORY), watching, level).begin().finish()
    assert dropping.finish().kept_by == "hold"
    all_or_nothing()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["matter", "request"])
def test_a_hold_that_is_being_placed_is_waited_for_and_keeps_it(theirs, watching, level, kind):
    def place():
        with MALLORY.here(), transaction():
            hold(theirs, who=MALLORY, kind=kind)
            dropping.begin()
            assert dropping.waits

    dropping = Meanwhile(drop_one, watching)
    Meanwhile(place, watching, level).begin().finish()
    assert dropping.finish().kept_by == "hold"
    all_or_nothing()


def test_a_decision_that_is_being_made_is_waited_for_and_keeps_it(theirs, watching):
    dropping = Meanwhile(drop_one, watching)
    with MALLORY.here(), transaction():
        policy("interactions", 99, who=MALLORY)
        dropping.begin()
        assert dropping.waits
    assert dropping.finish().kept_by == "period"
    all_or_nothing()


@pytest.mark.parametrize("level", LEVELS)
def test_a_hold_that_comes_after_the_last_look_waits_and_finds_nothing(theirs, watching, level):
    def place():
        hold(theirs, who=MALLORY)
        return count(Interaction, who=MALLORY)

    with platform_scope(actor=JOB), transaction():
        assert drop_one().kept_by == ""
        placing = Meanwhile(place, watching, level).begin()
        assert placing.waits
    assert placing.finish() == 0
    assert [d.rows for d in dispositions(MALLORY)] == [2]


def test_a_row_that_is_being_written_is_waited_for_and_counted(theirs, watching):
    with writing(MALLORY, row=theirs):
        dropping = Meanwhile(drop_one, watching).begin()
        assert dropping.waits
    assert dropping.finish().rows == {ACME: 2, GLOBEX: 3}
    assert [d.rows for d in dispositions(MALLORY)] == [3]


def test_a_row_of_somebody_new_is_waited_for_and_keeps_it(theirs, watching):
    drop()
    ours = interactions(customer("c-2"), IN_IT)[0]
    with MALLORY.here(), transaction():
        ensure_months("customers_interaction", [days_ago(IN_IT)])
    policy("interactions", 99, who=MALLORY)
    with writing(MALLORY, row=theirs):
        dropping = Meanwhile(drop_one, watching).begin()
        assert dropping.waits
    assert dropping.finish().kept_by == "period"
    assert (count(Interaction), count(Interaction, who=MALLORY), ours.kind) == (1, 1, "visit")


@pytest.mark.parametrize("level", LEVELS)
def test_a_row_that_comes_after_the_look_waits_and_is_in_a_month_of_its_own(theirs, watching, level):
    with platform_scope(actor=JOB), transaction():
        assert drop_one().kept_by == ""
        late = Meanwhile(lambda: interactions(theirs, IN_IT, who=MALLORY), watching, level).begin()
        assert late.waits
    late.finish()
    assert (count(Interaction), count(Interaction, who=MALLORY), is_there()) == (0, 1, True)
    assert [d.rows for d in dispositions(MALLORY)] == [2]


def test_of_two_one_drops_it(theirs, watching):
    with platform_scope(actor=JOB), transaction():
        assert drop_one().kept_by == ""
        assert Meanwhile(drop_one, watching).begin().finish().kept_by == "busy"
    assert drop_one().kept_by == "missing"
    assert [d.rows for d in dispositions()] == [2]


def test_who_reads_is_not_disturbed_and_the_month_is_for_the_next_time(theirs):
    with connect(SUITE.urls(connection.settings_dict["NAME"])["default"]) as session:
        session.execute("SELECT count(*) FROM customers_interaction")
        assert drop().kept_by == "busy"
        assert session.execute("SELECT count(*) FROM customers_interaction").fetchone() == (2,)
    all_or_nothing()
    assert drop().kept_by == ""


def test_it_gives_way_to_who_would_wait_for_it_in_a_circle(theirs, watching):
    def erase():
        with ADA.here(), transaction():
            return Interaction.objects.all().delete()[0]

    dropping, erasing = Meanwhile(drop_one, watching), Meanwhile(erase, watching)
    with MALLORY.here(), transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT policy_waits_for_deletions()")
        dropping.begin()
        erasing.begin()
        assert (dropping.waits, erasing.waits) == (True, True)
    assert dropping.finish().kept_by == "busy"
    assert erasing.finish() == 2
    assert dispositions(MALLORY) == []


def test_in_a_stricter_level_it_is_refused(theirs, watching):
    with pytest.raises(DatabaseError, match="READ COMMITTED"):
        Meanwhile(drop_one, watching, "repeatable read").begin().finish()
    all_or_nothing()


def test_killed_before_the_commit_it_leaves_everything_as_it_was(theirs, watching):
    with pytest.raises(DatabaseError), platform_scope(actor=JOB), transaction():
        assert drop_one().kept_by == ""
        watching.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    connections.close_all()
    all_or_nothing()
    assert drop().rows == {ACME: 2, GLOBEX: 2}


def test_killed_while_it_waits_it_leaves_everything_as_it_was(theirs, watching):
    dropping = Meanwhile(drop_one, watching)
    with MALLORY.here(), transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT policy_waits_for_deletions()")
        dropping.begin()
        # By now Acme's rows are counted and written down.
        watching.execute("SELECT pg_terminate_backend(%s, 5000)", [dropping.pid])
    with pytest.raises(DatabaseError):
        dropping.finish()
    all_or_nothing()
