"""The page of background jobs: how far each is, why it stopped, and two buttons with those who may not press them."""

import html
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

import audit
from audit.models import AuditRecord
from dsar.models import DsarRequest, Status
from dsar.requests import services as dsar
from kaireon.jobs import cancelling, pauses, progress, runner, services
from kaireon.jobs.models import Job, JobState
from kaireon.jobs.registry import job_type
from kaireon.jobs.runner import JobError, JobRun
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.cast import ACME, ADA, AUD, ED, MALLORY, PASSWORD, VI, Person

JOBS = "/admin/jobs/job/"
SignIn = Callable[[Person], Client]

# What the handler of the type below does next.
DOING: list[Callable[[JobRun], None]] = []


@job_type("test_admin_page", queue="batch-jobs")
def _handle(run: JobRun) -> None:
    DOING.pop()(run)


@pytest.fixture
def sign_in(db: str) -> SignIn:
    def signed_in(person: Person) -> Client:
        client = Client(raise_request_exception=False)
        assert client.post("/admin/login/", {"username": person.email, "password": PASSWORD}).status_code == 302
        return client

    return signed_in


@pytest.fixture
def job(db: str) -> Job:
    """One that waits, in Acme."""
    with ADA.here(), transaction():
        return services.enqueue(type="test_admin_page", payload={"n": 1}, now=clock.now())


def now(job: Job) -> Job:
    with ADA.here(), transaction():
        return Job.objects.get(pk=job.pk)


def work(job: Job, doing: Callable[[JobRun], None]) -> None:
    DOING.append(doing)
    with ADA.here():
        runner.run(job_id=job.pk)


def fail(run: JobRun) -> None:
    raise JobError("receiver_gone", permanent=True)


def page_of(client: Client, job: Job) -> str:
    answer = client.get(f"{JOBS}{job.pk}/change/")
    assert answer.status_code == 200
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


def recorded(action: str) -> list[tuple[str, str]]:
    audit.services.drain(ACME)
    with ADA.here(), transaction():
        return list(AuditRecord.objects.filter(action=action).values_list("user_name", "entity_name"))


def press(client: Client, job: Job, button: str) -> Any:
    return client.post(f"{JOBS}{job.pk}/{button}/", follow=True)


def test_it_shows_how_far_a_job_has_come(sign_in: SignIn, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    client = sign_in(ADA)
    seen: list[str] = []

    def half(run: JobRun) -> None:
        monkeypatch.setattr(runner, "TELL_SECONDS", 0.0)
        run.progress(lambda: 47.9)
        monkeypatch.setattr(runner, "TELL_SECONDS", 60.0)
        # Asked again at once, it is not even reckoned.
        run.progress(lambda: 1 / 0)
        seen.append(client.get(JOBS).content.decode())

    assert "<progress" not in client.get(JOBS).content.decode()
    work(job, half)
    assert '<progress max="100" value="47">' in seen[0]
    assert '<progress max="100" value="100">' in client.get(JOBS).content.decode()


def test_progress_is_written_by_who_holds_the_job_and_never_says_done(job: Job) -> None:
    with ADA.here(), transaction():
        held = services.claim(job_id=job.pk, now=clock.now())
        assert held is not None
        for said, kept in ((-5, 0), (12.3, 12), (100, 99), (1e9, 99)):
            progress.note(job=held, percent=said)
            assert now(job).percent == kept
    stranger = now(job)
    stranger.lease_token = UUID(int=1)
    with ADA.here(), transaction(), pytest.raises(services.LeaseLost):
        progress.note(job=stranger, percent=5)


def test_a_failed_job_says_why_and_goes_again(sign_in: SignIn, job: Job) -> None:
    client = sign_in(ADA)
    work(job, fail)
    page = page_of(client, job)
    assert "receiver_gone" in page
    assert "Failed" in page
    assert "Try again" in page
    assert "Cancel" not in page.split("Course")[0]
    assert "queued again" in press(client, job, "again").content.decode()
    assert (now(job).state, now(job).failures) == (JobState.QUEUED, 0)
    assert recorded("job.retry") == [("Ada", "test_admin_page")]
    work(job, lambda run: None)
    assert now(job).state == JobState.DONE
    refused = press(client, job, "again")
    assert "not one to try again" in refused.content.decode()
    assert now(job).state == JobState.DONE


def test_a_job_that_waits_is_cancelled_and_may_go_again(sign_in: SignIn, job: Job) -> None:
    client = sign_in(ADA)
    assert "is cancelled" in press(client, job, "cancel").content.decode()
    after = now(job)
    assert (after.state, after.error, after.finished_at is not None) == (JobState.CANCELLED, "cancelled", True)
    assert "Somebody cancelled it." in page_of(client, job)
    assert recorded("job.cancel") == [("Ada", "test_admin_page")]
    with ADA.here():
        assert runner.run(job_id=job.pk) is None
    again = client.post(f"{JOBS}{job.pk}/cancel/")
    assert (again.status_code, "has ended already" in again.content.decode()) == (200, True)
    press(client, job, "again")
    assert now(job).state == JobState.QUEUED


def test_a_job_that_runs_stops_and_its_effect_is_undone(sign_in: SignIn, job: Job) -> None:
    client = sign_in(ADA)

    def effect(run: JobRun) -> None:
        assert "is cancelled" in press(client, run.job, "cancel").content.decode()
        with transaction():
            Job.objects.create(type="effect", queue="batch-jobs", due_at=clock.now(), created_at=clock.now())
            run.finish()

    work(job, effect)
    assert now(job).state == JobState.CANCELLED
    with ADA.here(), transaction():
        assert not Job.objects.filter(type="effect").exists()


def test_what_stands_on_a_cancelled_job_learns_of_it(sign_in: SignIn, db: str) -> None:
    with ADA.here(), transaction():
        filed = dsar.create_request(
            request_type="export", subject_id="c-1", received_at=clock.now(), actor=ADA.actor, now=clock.now()
        )
    job = filed.job
    assert job is not None
    client = sign_in(ADA)
    press(client, job, "cancel")
    with ADA.here(), transaction():
        request = DsarRequest.objects.get(pk=filed.request.pk)
    assert (request.status, request.error) == (Status.FAILED, cancelling.CANCELLED)
    # It goes on from there, not from here.
    assert "Try again" not in page_of(client, job)
    assert "not one to try again" in press(client, job, "again").content.decode()
    assert now(job).state == JobState.CANCELLED
    with ADA.here(), transaction():
        assert dsar.retry_request(request=request, now=clock.now()).job is not None


def test_paused_types_are_shown_and_found(sign_in: SignIn, job: Job, settings: Any) -> None:
    client = sign_in(ADA)
    assert str(job.pk) not in client.get(f"{JOBS}?state=paused").content.decode()
    # A worker elsewhere said so; this process skips nothing.
    settings.SKIP_JOB_TYPES = ["test_admin_page"]
    pauses.announce()
    settings.SKIP_JOB_TYPES = []
    listed = client.get(f"{JOBS}?state=paused").content.decode()
    assert str(job.pk) in listed
    assert "Paused" in listed.split('id="result_list"')[1]
    assert "are paused by SKIP_JOB_TYPES; nothing is lost" in page_of(client, job)
    press(client, job, "cancel")
    assert str(job.pk) not in client.get(f"{JOBS}?state=paused").content.decode()


def test_a_job_that_is_tried_again_says_how_often_it_failed(sign_in: SignIn, job: Job) -> None:
    def stumble(run: JobRun) -> None:
        raise ConnectionError

    work(job, stumble)
    assert "It failed 1 of 4 times and is tried again." in page_of(sign_in(ADA), job)
    assert "connection_error" in page_of(sign_in(ADA), job)


@pytest.mark.parametrize(
    ("query", "found"),
    [("state=queued", True), ("state=failed", False), ("type=test_admin_page", True), ("type=dsar_export", False)],
)
def test_jobs_are_filtered(sign_in: SignIn, job: Job, query: str, found: bool) -> None:
    assert (str(job.pk) in sign_in(ADA).get(f"{JOBS}?{query}").content.decode()) is found


@pytest.mark.parametrize("button", ["again", "cancel"])
@pytest.mark.parametrize(
    ("person", "status"),
    [(ED, 403), (VI, 403), (AUD, 403), (MALLORY, 404)],
    ids=["editor", "viewer", "auditor", "other"],
)
def test_nobody_else_presses_a_button(sign_in: SignIn, job: Job, person: Person, status: int, button: str) -> None:
    if button == "again":
        work(job, fail)
    before = now(job).state
    client = sign_in(person)
    for answer in (client.get(f"{JOBS}{job.pk}/{button}/"), client.post(f"{JOBS}{job.pk}/{button}/")):
        assert answer.status_code == status
    assert now(job).state == before
    if person is VI:
        assert "Try again" not in page_of(client, job)
        assert f"/{button}/" not in client.get(f"{JOBS}{job.pk}/change/").content.decode()


def test_nobody_presses_one_unasked(job: Job) -> None:
    assert Client().post(f"{JOBS}{job.pk}/cancel/").status_code == 302
    assert now(job).state == JobState.QUEUED
