"""One function behind four doors, one run at a time, one tenant's failure nobody else's."""

import threading

import pytest
from django.db import connection, connections

from audit import services as log
from audit.models import AuditRecord
from cron import jobs, runner, tasks
from cron.jobs import UnknownJob
from cron.locks import only_run
from cron.models import JobRun, RunState, Trigger
from cron.work import Job
from kaireon.lib.clock import at
from kaireon.tenancy import context
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA, GLOBEX


@pytest.fixture
def job(monkeypatch, db):
    """Put a job of this test's own into the table."""

    def put(**parts):
        made = Job(name="tidy", help="Tidies.", unscheduled="It is a test's.", **parts)
        monkeypatch.setitem(jobs.JOBS, "tidy", made)
        return made

    return put


def visit(seen):
    def function(work):
        seen.append((context.tenant_id(), connection.in_atomic_block))
        return {"tidied": 1}, ()

    return function


def test_it_visits_every_tenant_in_its_own_scope_and_outside_transactions(job):
    seen = []
    job(for_tenant=visit(seen))
    ran = runner.run_job("tidy", trigger=Trigger.COMMAND)
    assert seen == [(ACME, False), (GLOBEX, False)]
    assert ran.body == {
        "ok": True,
        "tenantsScanned": 2,
        "perTenant": [
            {"tenantId": ACME, "tidied": 1, "errors": []},
            {"tenantId": GLOBEX, "tidied": 1, "errors": []},
        ],
    }
    run = JobRun.objects.get()
    assert (run.state, run.trigger, run.error, run.result) == (RunState.SUCCEEDED, "command", "", ran.body)
    assert run.outcome_of(ACME)["ok"] is True
    assert run.duration is not None


def test_a_failure_in_one_tenant_is_reported_after_the_others_were_served(job):
    seen = []

    def function(work):
        if context.tenant_id() == ACME:
            raise ValueError("ada@acme.example is in this text")
        return visit(seen)(work)

    job(for_tenant=function)
    ran = runner.run_job("tidy", trigger=Trigger.BEAT)
    assert [tenant for tenant, _ in seen] == [GLOBEX]
    assert (ran.ok, ran.body["error"]) == (False, "1 of 2 tenants failed")
    assert ran.body["perTenant"][0] == {"tenantId": ACME, "errors": ["ValueError"]}
    run = JobRun.objects.get()
    assert (run.state, run.outcome_of(ACME)["ok"], run.outcome_of(GLOBEX)["ok"]) == (RunState.FAILED, False, True)
    assert "ada@" not in str(run.result) + str(run.outcomes)


def test_an_error_a_tenant_reports_fails_the_run_and_keeps_its_counts(job):
    job(for_tenant=lambda work: ({"tidied": 3}, ["2 objects could not be removed"]))
    ran = runner.run_job("tidy", trigger=Trigger.BEAT)
    assert (ran.ok, ran.body["perTenant"][0]["tidied"]) == (False, 3)


def test_a_failure_of_the_common_part_does_not_keep_the_tenants_waiting(job):
    def function(work):
        raise RuntimeError

    seen = []
    job(for_all=function, for_tenant=visit(seen))
    ran = runner.run_job("tidy", trigger=Trigger.BEAT)
    assert (ran.ok, ran.body["error"], len(seen)) == (False, "RuntimeError", 2)


def test_a_global_job_answers_what_it_gives(job):
    job(for_all=lambda work: {"counted": 7})
    assert runner.run_job("tidy", trigger=Trigger.BEAT).body == {"ok": True, "counted": 7}


def test_an_overlap_is_skipped_whatever_the_trigger(job):
    job(for_tenant=visit([]))
    with only_run("tidy") as free:
        assert free
        for trigger in Trigger:
            ran = runner.run_job("tidy", trigger=trigger)
            assert ran.body == {"ok": True, "skipped": "already running"}
            assert ran.skipped
    assert not JobRun.objects.exists()
    assert not runner.run_job("tidy", trigger=Trigger.HTTP).skipped


def test_a_run_inside_a_run_is_skipped(job):
    inner = []
    job(for_all=lambda work: inner.append(runner.run_job("tidy", trigger=Trigger.HTTP)) or {})
    assert runner.run_job("tidy", trigger=Trigger.HTTP).ok
    assert inner[0].skipped


def test_of_many_at_once_one_runs(job):
    started = threading.Event()
    let_go = threading.Event()

    def slow(work):
        started.set()
        assert let_go.wait(10)
        return {}

    job(for_all=slow)
    results = []

    def start():
        results.append(runner.run_job("tidy", trigger=Trigger.BEAT))
        connections.close_all()

    first = threading.Thread(target=start)
    first.start()
    assert started.wait(10)
    others = [threading.Thread(target=start) for _ in range(3)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join(10)
    let_go.set()
    first.join(10)
    assert sorted(r.skipped for r in results) == [False, True, True, True]


def test_the_lock_outlives_the_time_that_idle_transactions_get(db):
    with only_run("tidy") as free, connection.cursor() as cursor:
        assert free
        cursor.execute("SELECT pg_sleep(0)")
        cursor.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.granted"
        )
        assert cursor.fetchone() == (1,)


def test_a_run_whose_process_died_is_found_lost_by_the_next(job):
    job(for_all=lambda work: {})
    dead = JobRun.objects.create(job="tidy", trigger="beat", started_at=at("09:00"))
    assert runner.run_job("tidy", trigger=Trigger.BEAT).ok
    dead.refresh_from_db()
    assert (dead.state, dead.error) == (RunState.LOST, runner.LOST)
    assert dead.finished_at is not None


def test_a_run_that_takes_its_process_down_is_begun_three_times_and_no_more(job):
    job(for_all=lambda work: {})
    dead = JobRun.objects.create(job="tidy", trigger="beat", slot=at("09:00"), started_at=at("09:00"))

    def comes_again():
        dead.refresh_from_db()
        dead.state, dead.finished_at = RunState.RUNNING, None
        dead.save()
        return runner.run_job("tidy", trigger=Trigger.BEAT, slot=at("09:00"))

    assert [comes_again().skipped for _ in range(4)] == [False, False, True, True]
    dead.refresh_from_db()
    assert (dead.state, dead.attempts) == (RunState.LOST, 3)


def test_it_refuses_to_run_inside_a_transaction(job):
    job(for_all=lambda work: {})
    with ADA.here(), transaction(), pytest.raises(runner.InsideTransaction):
        runner.run_job("tidy", trigger=Trigger.ADMIN)


def test_an_unknown_job_is_named_with_the_known_ones(db):
    with pytest.raises(UnknownJob, match="cleanup"):
        runner.run_job("nonsense", trigger=Trigger.HTTP)


def test_the_end_of_a_run_and_the_crossing_are_in_the_platforms_log(job):
    job(for_tenant=visit([]))
    ran = runner.run_job("tidy", trigger=Trigger.COMMAND)
    log.drain(context.PLATFORM)
    with connections["sequencer"].cursor() as cursor:
        cursor.execute(
            "SELECT action, entity_id, entity_name, changes->>'state' FROM audit_record WHERE tenant_id = '_platform'"
            " AND action IN ('job.run', 'tenancy.cross') ORDER BY seq DESC LIMIT 2"
        )
        found = cursor.fetchall()
    assert found == [("job.run", str(ran.run.pk), "tidy", "succeeded"), ("tenancy.cross", "*", None, None)]


def test_the_worker_runs_it_as_whoever_pressed_the_button(job):
    job(for_all=lambda work: {"by": work.actor.name})
    assert tasks.run.apply(kwargs={"job": "tidy", "trigger": "admin", "user_id": str(ADA.user.pk)}).get() is True
    run = JobRun.objects.get()
    assert (run.trigger, run.actor_name, run.result["by"]) == ("admin", "Ada", "Ada")


def test_the_task_takes_newer_arguments_and_no_positional_ones(job):
    job(for_all=lambda work: {})
    assert tasks.run.apply(kwargs={"job": "tidy", "invented_later": 1}).get() is True
    assert isinstance(tasks.run.apply(args=["tidy"]).result, tasks.KeywordsOnly)


def test_tenant_budgets_share_what_is_left_of_the_deadline(job):
    shares = []

    def function(work):
        shares.append(work.budget.seconds)
        return {}, ()

    job(for_tenant=function, deadline=100)
    runner.run_job("tidy", trigger=Trigger.BEAT)
    assert 49 < shares[0] <= 50
    assert 99 < shares[1] <= 100


def test_a_members_log_is_not_told_of_other_tenants(job):
    job(for_tenant=visit([]))
    runner.run_job("tidy", trigger=Trigger.BEAT)
    log.drain(ACME)
    with ADA.here(), transaction():
        assert not AuditRecord.objects.filter(entity_type="JobRun").exists()


def test_every_job_has_a_schedule_or_says_why_not():
    for job in jobs.JOBS.values():
        assert bool(job.schedule) != bool(job.unscheduled), job.name
        assert job.help.endswith(".")
        assert job.for_all or job.for_tenant
        assert 0 < job.deadline <= 600
