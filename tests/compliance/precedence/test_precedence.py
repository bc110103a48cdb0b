"""No row with any reason to stay is ever gone, and every row with none is gone: by retention after two runs, by an
erasure after one.

KAIREON_PRECEDENCE_CASES says how many rows, KAIREON_PRECEDENCE_SEED which; `make precedence` is the long run.
"""

import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import uuid4

import pytest

from compliance.models import Disposition
from compliance.purging import months
from compliance.purging.purge import purge_expired
from customers.models import ConsentRecord, Customer
from dsar.models import DsarRequest
from dsar.requests import retention as requests
from dsar.requests import services
from kaireon.jobs import runner
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.compliance.precedence import oracle
from tests.compliance.precedence.cases import MOMENTS, ROWS, Maker
from tests.compliance.precedence.oracle import Decision, Hold, Reason, Row, World
from tests.compliance.precedence.worlds import NAME, OFFICER, left, tenant_with

CASES = int(os.environ.get("KAIREON_PRECEDENCE_CASES", "3000"))
SEED = os.environ.get("KAIREON_PRECEDENCE_SEED", "9")
# Worlds in which people ask to be erased. Each waits for the log to take in all its rows, so they are small.
ERASURES = max(3, CASES // 1500)
ERASURE_ROWS = 160
ASKING = 4
# Worlds in which months go whole.
MONTHS_OF = max(3, CASES // 1000)
MONTHS_FROM = datetime(1950, 6, 20, 12, tzinfo=UTC)
YEAR = timedelta(days=365)


class OldMaker(Maker):
    """Of worlds in which many rows are of months that are past, and age by what decides their month."""

    def _decisions(self, data_class):
        return tuple(replace(decision, anchor="") for decision in super()._decisions(data_class))

    def _clock(self, data_class):
        return super()._clock(data_class) - self.random.choice([0, 1, 2]) * timedelta(days=30)


pytestmark = pytest.mark.usefixtures("db")


@pytest.fixture(autouse=True)
def _cooling_off(settings):
    settings.RETENTION_COOLING_OFF_HOURS = oracle.COOLING_OFF // timedelta(hours=1)


@pytest.mark.slow
def test_a_purge_takes_what_has_no_reason_to_stay_and_nothing_else():
    seen = Counter()
    for number in range(-(-CASES // ROWS)):
        maker = Maker(seed=f"purge {SEED} {number}", now=MOMENTS[number % len(MOMENTS)])
        world = maker.make()
        reasons = oracle.purge(world)
        with tenant_with(world, f"w{number}", packs=maker.packs):
            for run in (1, 2):
                months.drop_past(now=world.now, actor=OFFICER)
                purged = purge_expired(now=world.now, actor=OFFICER)
                with transaction():
                    requests.shred_expired(now=world.now)
                there = left()
                for row in world.rows:
                    assert row.id in there or not reasons[row.id], f"{maker.seed}, run {run}: {reasons[row.id]}, {row}"
        assert purged.errors == [], maker.seed
        for row in world.rows:
            assert row.id not in there or reasons[row.id], f"{maker.seed}: nothing keeps {row}"
        seen.update(reasons.values())
    # Each reason stood alone somewhere: without it a row would have gone.
    assert alone(seen) == set(Reason), "too few rows to tell"
    assert seen[frozenset()] > CASES / 10


def test_a_month_goes_whole_when_none_of_its_rows_has_a_reason_to_stay():
    gone = Counter()
    for number in range(MONTHS_OF):
        # Each in years of its own, which are over by any clock: what is left of one keeps no month of another.
        maker = OldMaker(
            seed=f"months {SEED} {number}", now=MONTHS_FROM + 4 * (number % 17) * YEAR, rows_in_it=ERASURE_ROWS
        )
        world = maker.make()
        reasons = oracle.purge(world)
        with tenant_with(world, f"m{number}", packs=maker.packs):
            whole = {month.entity: 0 for month in months.drop_past(now=world.now, actor=OFFICER)}
            there = left()
            for row in world.rows:
                assert row.id in there or not reasons[row.id], f"{maker.seed}: {reasons[row.id]}, {row}"
                assert row.id in there or row.entity in whole, f"{maker.seed}: {row}"
            with transaction():
                for said in Disposition.objects.all():
                    assert said.method == "dropped"
                    whole[said.entity] += said.rows
            gone.update(whole)
            assert sum(whole.values()) == len(world.rows) - len(there), maker.seed
            purge_expired(now=world.now, actor=OFFICER)
            with transaction():
                requests.shred_expired(now=world.now)
            there = left()
            for row in world.rows:
                assert (row.id in there) == bool(reasons[row.id]), f"{maker.seed}: {reasons[row.id]}, {row}"
    assert gone.total() > 0, "too few rows to tell"


def test_an_erasure_takes_all_of_a_person_but_what_a_matter_holds():
    seen = Counter()
    for number in range(ERASURES):
        # Later than today, so that no release of a hold is over.
        maker = Maker(
            seed=f"erasure {SEED} {number}",
            now=datetime(2040, 1, 1, tzinfo=UTC),
            people_in_it=ASKING + 2,
            rows_in_it=ERASURE_ROWS,
            fewest_holds=6,
        )
        world = maker.make()
        asking = Random(maker.seed).sample(maker.people, ASKING)
        others = {row.id for row in world.rows if row.subject not in asking}
        with tenant_with(world, f"e{number}", packs={}):
            for person in asking:
                erase(person)
                there, whole = left(), untouched()
                reasons = oracle.erasure(world, person, now=clock.now())
                for row in world.rows:
                    if row.subject == person:
                        same_as_said(row, reasons[row.id], there, whole, maker.seed)
                assert others <= there, maker.seed
                seen.update(reasons.values())
            assert {row.id for row in world.rows if row.entity in ("customer", "consentRecord")} & others <= whole
    assert alone(seen) == {*oracle.HOLDS, Reason.REFERRED_TO}, "too few rows to tell"
    assert seen[frozenset()] > ERASURES * ASKING


def test_a_checkpoint_that_is_held_keeps_its_run_and_other_runs_go():
    old = MOMENTS[0] - timedelta(days=30)
    runs = [Row(id=uuid4(), entity="flowRun", data_class="metrics", clock=old) for _ in range(2)]
    steps = [
        Row(id=uuid4(), entity="flowCheckpoint", data_class="metrics", clock=old, refers=run.id)
        for run in (runs[0], runs[0])
    ]
    world = World(
        now=MOMENTS[0],
        rows=(*runs, *steps),
        policies={"metrics": (Decision(days=3, at=old),)},
        holds=(Hold(entity="flowCheckpoint"),),
    )
    with tenant_with(world, "runs", packs={}):
        purged = purge_expired(now=world.now, actor=OFFICER)
        assert purged.errors == []
        assert left() == {runs[0].id, *(step.id for step in steps)}


def alone(seen):
    return {reason for found in seen for reason in found if len(found) == 1}


def same_as_said(row, reasons, there, whole, seed):
    """Gone, or without the person, or as it was."""
    said = f"{seed}: {reasons}, {row}"
    if row.entity == "consentRecord":
        assert row.id in there, said
        assert (row.id in whole) == bool(reasons), said
    elif row.entity == "customer":
        assert (row.id in there) == bool(reasons), said
        assert (row.id in whole) == bool(reasons & oracle.HOLDS), said
    else:
        assert (row.id in there) == bool(reasons), said


def erase(person):
    with transaction():
        number = Customer.objects.get(pk=person).customer_id
        filed = services.create_request(request_type="delete", subject_id=number, actor=OFFICER, now=clock.now())
    runner.run(job_id=filed.job.pk)
    with transaction():
        request = DsarRequest.objects.get(pk=filed.request.pk)
        # What a hold keeps is erased when it ends.
        assert request.state == ("deferred" if request.retained else "completed")


def untouched():
    """Customers who still have a name, and statements that still say whose they are and where from."""
    with transaction():
        statements = ConsentRecord.objects.filter(customer__isnull=False).exclude(source="")
        return {
            *Customer.objects.filter(name=NAME).values_list("pk", flat=True),
            *statements.values_list("pk", flat=True),
        }
