"""Retrain schedules and model versions in the admin, and the job that queues what is due."""

import html
import re
from typing import Any

from audit import services as audit_log
from audit.models import AuditRecord
from cron import runner
from cron.models import Trigger
from customers import returns
from customers.models import PropensityVersion, RetrainRun, RetrainSchedule
from customers.propensity import serving, versions
from kaireon.jobs.models import Job
from kaireon.jobs.runner import run as work
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.cast import ACME, ADA, AUD, MALLORY, VI
from tests.customers.exporting.warehouse import settled
from tests.customers.propensity.world import DAY, OFFER, mislead, plant, schedule

SCHEDULES = "/admin/customers/retrainschedule/"
VERSIONS = "/admin/customers/propensityversion/"
TERMS = {
    "is_enabled": "on",
    "every_days": "1",
    "window_days": "365",
    "min_interactions": "0",
    "min_positives": "10",
    "tolerance": "0.01",
    "keep": "5",
}


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


def job(tenant: str = ACME, **options: Any) -> dict[str, Any]:
    ran = runner.run_job("scheduled-retrains", trigger=Trigger.COMMAND, **options)
    assert ran.ok
    [entry] = [entry for entry in ran.body["perTenant"] if entry["tenantId"] == tenant]
    return {name: entry[name] for name in ("schedules", "due", "enqueued")}


def work_all() -> None:
    with ADA.here():
        with transaction():
            queued = list(Job.objects.open().filter(queue="retrain-jobs"))
        for one in queued:
            work(job_id=one.pk)


def only(model: Any) -> Any:
    with ADA.here(), transaction():
        return model.objects.get()


def test_the_job_queues_what_is_due_once_a_day(db: str) -> None:
    now = clock.now()
    assert job() == {"schedules": 0, "due": 0, "enqueued": 0}
    with ADA.here():
        plant(now, people=25)
        row = schedule(now)
    assert job(dry_run=True) == {"schedules": 1, "due": 1, "enqueued": 0}
    assert not_queued()
    assert job() == {"schedules": 1, "due": 1, "enqueued": 1}
    assert job() == {"schedules": 1, "due": 0, "enqueued": 0}
    work_all()
    run = only(RetrainRun)
    assert (run.state, run.cause, run.version_number) == ("served", "never tried", 1)
    # Due again, but the day has its retrain.
    with ADA.here(), transaction():
        RetrainSchedule.objects.filter(pk=row.pk).update(attempted_at=None)
    assert job() == {"schedules": 1, "due": 1, "enqueued": 0}
    assert job("globex") == {"schedules": 0, "due": 0, "enqueued": 0}


def not_queued() -> bool:
    with ADA.here(), transaction():
        return not RetrainRun.objects.exists() and not Job.objects.filter(queue="retrain-jobs").exists()


def test_a_schedule_is_made_changed_and_its_model_trained_and_rolled_back(sign_in: SignIn) -> None:
    ada = sign_in(ADA)
    assert "A schedule says when" in text_of(ada.get(SCHEDULES))
    assert "Versions appear here" in text_of(ada.get(VERSIONS))
    assert ada.post(f"{SCHEDULES}new/", {**TERMS, "offer": OFFER}).status_code == 302
    row = only(RetrainSchedule)
    page = text_of(ada.get(f"{SCHEDULES}{row.pk}/change/"))
    assert "never tried" in page
    assert "State On Served version none yet" in page
    assert "Nothing yet." in page
    assert "Has a schedule already" in text_of(ada.post(f"{SCHEDULES}new/", {**TERMS, "offer": OFFER}))
    assert ada.post(f"{SCHEDULES}{row.pk}/alter/", {**TERMS, "every_days": "3"}).status_code == 302
    assert only(RetrainSchedule).every_days == 3
    with ADA.here():
        plant(clock.now(), people=25)
    for _ in range(2):
        assert ada.post(f"{SCHEDULES}{row.pk}/train/").status_code == 302
        assert "under way already" in text_of(ada.post(f"{SCHEDULES}{row.pk}/train/"))
        work_all()
    with ADA.here(), transaction():
        first, second = PropensityVersion.objects.order_by("number")
    page = text_of(ada.get(f"{VERSIONS}{first.pk}/change/"))
    for said in (
        "the first version",
        "AUC",
        "Brier score",
        "arrivalBelow",
        "scikit-learn",
        "days_since_last",
        "Accepted",
    ):
        assert said in page, said
    assert ada.post(f"{VERSIONS}{first.pk}/serve/", {"reason": ""}).status_code == 200
    assert ada.post(f"{VERSIONS}{first.pk}/serve/", {"reason": "better in the field"}).status_code == 302
    assert only(RetrainSchedule).served_id == first.pk
    page = text_of(ada.get(f"{SCHEDULES}{row.pk}/change/"))
    for said in ("better in the field", "Ada", "Trained and served", "not worse"):
        assert said in page, said
    assert "This version is the one" in text_of(ada.post(f"{VERSIONS}{first.pk}/serve/", {"reason": "again"}))
    assert second.number == 2


def test_who_may_not_sees_or_does_nothing(sign_in: SignIn) -> None:
    with ADA.here():
        row = schedule(clock.now())
    assert sign_in(AUD).get(SCHEDULES).status_code == 403
    vi = sign_in(VI)
    assert vi.get(f"{SCHEDULES}{row.pk}/change/").status_code == 200
    for path in ("new/", f"{row.pk}/alter/", f"{row.pk}/train/"):
        assert vi.post(f"{SCHEDULES}{path}", TERMS).status_code == 403
    assert sign_in(MALLORY).get(f"{SCHEDULES}{row.pk}/change/").status_code in (302, 404)
    assert sign_in(MALLORY).post(f"{SCHEDULES}{row.pk}/train/").status_code in (302, 404)
    assert not_queued()


def test_a_candidate_is_taken_and_a_stale_version_says_until_when_it_serves(sign_in: SignIn) -> None:
    ada = sign_in(ADA)
    with ADA.here():
        [erased, *_] = plant(clock.now())
        row = schedule(clock.now(), min_interactions=0, every_days=1)
    job()
    work_all()
    with ADA.here(), clock.freeze(clock.now() + DAY):
        mislead(clock.now() - DAY)
        settled()
        assert job()["enqueued"] == 1
        work_all()
    page = text_of(ada.get(f"{SCHEDULES}{row.pk}/change/"))
    assert "Trained, kept as candidate worse: log loss" in page
    with ADA.here():
        with transaction():
            first, second = PropensityVersion.objects.order_by("number")
            assert serving.served(OFFER).number == 1
        with transaction():
            returns.shut_out(erased, now=clock.now())
            until = versions.serves_until(first).date()
    assert f"and served until {until} at most" in text_of(ada.get(f"{SCHEDULES}{row.pk}/change/"))
    assert "Candidate" not in text_of(ada.get(f"{VERSIONS}{first.pk}/change/"))
    assert ada.post(f"{VERSIONS}{second.pk}/serve/", {"reason": "it is the truth now"}).status_code == 302
    with ADA.here():
        with transaction():
            assert serving.served(OFFER).number == 2
        audit_log.drain(ACME)
        with transaction():
            taken = AuditRecord.objects.get(action=versions.SERVE_VERB, user_name="Ada")
            assert "it is the truth now" in str(taken.changes)
    assert f"served until {until} at most" in text_of(ada.get(f"{VERSIONS}{first.pk}/serve/"))
    with clock.freeze(clock.now() + versions.LONGEST_STALE):
        ada = sign_in(ADA)
        with ADA.here(), transaction():
            RetrainSchedule.objects.update(served=first)
        page = ada.get(f"{SCHEDULES}{row.pk}/change/")
        assert "somebody was erased then: it serves no more" in text_of(page)
        assert ">served</td>" not in page.content.decode()
        assert "State Stale too long" in text_of(ada.get(f"{VERSIONS}{first.pk}/change/"))
        page = text_of(ada.post(f"{VERSIONS}{first.pk}/serve/", {"reason": "it was better"}))
        assert "it serves no more. Train a new one." in page
