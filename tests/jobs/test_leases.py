"""Claiming and finishing, which the database does in functions of its own."""

from copy import copy
from uuid import UUID

import pytest
from django.db import connection

from kaireon.jobs import services
from kaireon.jobs.models import Job, JobState
from kaireon.jobs.registry import job_type
from kaireon.lib import clock
from kaireon.tenancy.context import InsideTransaction, transaction
from tests.cast import ACME, MALLORY

TYPE = "lease_test"
job_type(TYPE, queue="batch-jobs")(lambda run: None)


def enqueued() -> UUID:
    with transaction():
        job = services.enqueue(type=TYPE, payload={"number": 7}, now=clock.now())
    return job.pk


def columns(job: Job) -> dict[str, object]:
    return {column.attname: getattr(job, column.attname) for column in Job._meta.concrete_fields}


def asked(query: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return str(cursor.fetchone()[0])


def test_a_claim_of_its_own_gives_the_row_as_it_is_stored(acme: str) -> None:
    claimed = services.claim_at_once(job_id=enqueued(), now=clock.now())

    assert claimed is not None
    with transaction():
        stored = Job.objects.get(pk=claimed.pk)
    assert columns(claimed) == columns(stored)
    assert (stored.state, stored.payload, stored.result) == (JobState.RUNNING, {"number": 7}, None)


def test_a_claim_in_the_callers_transaction_leaves_that_durable_and_goes_with_it(acme: str) -> None:
    job_id = enqueued()
    with pytest.raises(ZeroDivisionError), transaction():
        asked("SELECT set_config('synchronous_commit', 'on', true)")
        assert services.claim(job_id=job_id, now=clock.now()) is not None
        assert asked("SHOW synchronous_commit") == "on"
        raise ZeroDivisionError
    with transaction():
        assert Job.objects.get(pk=job_id).state == JobState.QUEUED


def test_what_commits_by_itself_is_not_called_in_a_transaction(acme: str) -> None:
    job_id = enqueued()
    with transaction():
        with pytest.raises(InsideTransaction):
            services.claim_at_once(job_id=job_id, now=clock.now())
        with pytest.raises(InsideTransaction):
            services.finish_at_once(job=Job.objects.get(pk=job_id), now=clock.now())


def test_only_the_lease_finishes_and_only_once(acme: str) -> None:
    claimed = services.claim_at_once(job_id=enqueued(), now=clock.now())
    assert claimed is not None
    late = copy(claimed)

    assert services.finish_at_once(job=claimed, now=clock.now())
    with transaction():
        stored = Job.objects.get(pk=claimed.pk)
    assert columns(claimed) == columns(stored)
    assert stored.state == JobState.DONE
    assert not services.finish_at_once(job=late, now=clock.now())
    assert late.state == JobState.RUNNING


def test_no_tenant_claims_for_another_whatever_it_names(acme: str) -> None:
    job_id = enqueued()
    with MALLORY.here():
        assert services.claim_at_once(job_id=job_id, now=clock.now()) is None
        with transaction(), connection.cursor() as cursor:
            # Where a tenant was said already, another name does not replace it.
            cursor.execute(
                services._CLAIM,
                {
                    "tenant": ACME,
                    "id": job_id,
                    "token": job_id,
                    "until": clock.now(),
                    "now": clock.now(),
                    "paused": [],
                    "durably": True,
                    "fresh": False,
                },
            )
            assert cursor.fetchone() is None


def test_nothing_said_for_one_call_is_left_on_the_connection(acme: str) -> None:
    assert services.claim_at_once(job_id=enqueued(), now=clock.now()) is not None
    assert asked("SELECT current_setting('app.tenant_id', true)") in ("", "None")
