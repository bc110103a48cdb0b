"""The home page: what needs attention of what waits, is late, failed or died."""

import html
import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django_celery_beat.models import PeriodicTask

from cron import beat_rows
from cron.models import JobRun, RunState, Trigger
from kaireon.approvals import services as approvals
from kaireon.flows import pipelines
from kaireon.flows.models import FlowRun, RunTrigger
from kaireon.lib import clock
from kaireon.outbox import dead_letters
from kaireon.tenancy.context import transaction
from tests.admin.conftest import SignIn
from tests.approvals.conftest import BEA, admins  # noqa: F401
from tests.cast import ADA, AUD, ED, MALLORY, VI, Person


def notes(sign_in: SignIn, person: Person = ADA) -> list[tuple[str, str, str]]:
    """Level, text and address of each note."""
    page = sign_in(person).get("/admin/").content.decode()
    found = re.findall(r'<li class="k-(bad|warn|info)"><a href="([^"]+)">([^<]+)</a>', page)
    return [(level, html.unescape(text), html.unescape(url)) for level, url, text in found]


def said(sign_in: SignIn, person: Person = ADA) -> list[tuple[str, str]]:
    return [(level, text) for level, text, _ in notes(sign_in, person)]


def bury(count: int, queue: str = "outbox") -> None:
    with ADA.here(), transaction():
        for _ in range(count):
            dead_letters.add(
                source="message",
                source_ref=uuid4(),
                queue=queue,
                topic="mail",
                error_type="timeout",
                permanent=False,
                attempts=3,
                now=clock.now(),
            )


def run_of(job: str, state: RunState, started: Any) -> None:
    finished = None if state == RunState.RUNNING else started
    JobRun.objects.create(job=job, trigger=Trigger.COMMAND, state=state, started_at=started, finished_at=finished)


@pytest.mark.parametrize(
    ("count", "note"),
    [
        (10, None),
        (11, ("warn", "11 dead letters of outbox: WARNING")),
        (101, ("bad", "101 dead letters of outbox: CRITICAL")),
    ],
)
def test_dead_letters_want_somebody_above_the_thresholds(
    count: int, note: tuple[str, str] | None, sign_in: SignIn
) -> None:
    bury(count)
    about = [found for found in said(sign_in) if "dead letter" in found[1]]
    assert about == ([note] if note else [])
    assert sign_in(ADA).get("/admin/").content.decode().count(f"{count}, {'OK' if count < 11 else ''}") == 1
    assert not [found for found in said(sign_in, MALLORY) if "dead letter" in found[1]]


def test_queues_are_judged_one_by_one(sign_in: SignIn) -> None:
    bury(8)
    bury(8, "dsar-jobs")
    assert not [found for found in said(sign_in) if "dead letter" in found[1]]


def test_what_waits_for_my_answer_is_there_and_my_own_is_not(admins: str, sign_in: SignIn) -> None:  # noqa: F811
    with ADA.here(), transaction():
        payload = {"email": "n@x.example", "role": "viewer"}
        approvals.ask(verb="role.grant", payload=payload, actor=ADA.actor, now=clock.now())
    [(level, text, url)] = [note for note in notes(sign_in, BEA) if "approval" in note[1]]
    assert (level, text) == ("warn", "1 approval for you to answer")
    assert "Viewer for n***@x.example" in sign_in(BEA).get(url).content.decode()
    assert not [note for note in said(sign_in) if "approval" in note[1]]
    assert "asked by you and open: 1" in sign_in(ADA).get("/admin/").content.decode()


def test_jobs_that_are_late_or_down_are_named(sign_in: SignIn) -> None:
    # Between the moments of every job: flow-scheduler-tick is due each minute, approvals-expire at a quarter past.
    now = clock.at("12:10:30")
    with clock.freeze(now - timedelta(days=9)):
        beat_rows.install()
    PeriodicTask.objects.update(date_changed=now - timedelta(days=9))
    run_of("cleanup", RunState.FAILED, now)
    run_of("approvals-expire", RunState.LOST, now)
    run_of("dlq-archive", RunState.SUCCEEDED, now - timedelta(days=8))
    run_of("outbox-reaper", RunState.SUCCEEDED, now - timedelta(minutes=2))
    run_of("flow-scheduler-tick", RunState.SUCCEEDED, now)
    run_of("dlq-replay", RunState.RUNNING, now - timedelta(days=1))
    with clock.freeze(now):
        found = said(sign_in)
        assert ("bad", "The job cleanup is down: its last run failed") in found
        assert ("bad", "The job approvals-expire is down: its last run was lost") in found
        assert ("bad", "The job dlq-archive is down: it did not run when it was due") in found
        assert ("bad", "The job dlq-replay is down: it runs longer than it may") in found
        assert ("warn", "The job outbox-reaper is late") in found
        assert not [text for _, text in found if "flow-scheduler-tick" in text]
        assert ("bad", "The job cleanup is down: its last run failed") in said(sign_in, VI)
        assert said(sign_in, AUD) == [("info", "The audit log was never verified")]


def test_a_pipeline_whose_newest_run_failed_is_named_until_one_succeeds(sign_in: SignIn) -> None:
    steps = [
        {"name": "read", "node": "load_entity", "params": {"entity": "customers"}},
        {"name": "store", "node": "write_entity", "params": {"entity": "customers"}},
    ]
    now = clock.now()
    with ADA.here(), transaction():
        flow = pipelines.create(name="nightly <b>", definition={"steps": steps}, actor=ADA.actor, now=now)
        failed, _ = pipelines.start(flow, trigger=RunTrigger.ADMIN, now=now)
    assert "Queued, 0.0 %" in sign_in(ADA).get("/admin/").content.decode()
    end(failed, "failed")
    [(level, text, url)] = [note for note in notes(sign_in) if "pipeline" in note[1]]
    assert (level, text) == ("bad", "The last run of the pipeline nightly <b> failed")
    assert str(failed.pk) in url
    assert not [note for note in said(sign_in, ED) if "pipeline" in note[1]]
    with ADA.here(), transaction():
        better, _ = pipelines.start(flow, trigger=RunTrigger.ADMIN, now=now + timedelta(seconds=1))
    end(better, "done")
    assert not [note for note in said(sign_in) if "pipeline" in note[1]]


def end(run: FlowRun, state: str) -> None:
    with ADA.here(), transaction():
        FlowRun.objects.filter(pk=run.pk).update(state=state, finished_at=clock.now())


def test_the_menu_marks_one_place(sign_in: SignIn) -> None:
    client = sign_in(ADA)
    places = {
        "/admin/": "Home",
        "/admin/dsar/dsarrequest/": "Subject requests",
        "/admin/dsar/dsarrequest/board/": "Request desk",
        "/admin/dsar/dsarrequest/report/": "Subject requests",
        "/admin/approvals/approvalrequest/inbox/": "For your decision",
        "/admin/approvals/approvalrequest/": "Approvals",
    }
    for path, name in places.items():
        page = client.get(path).content.decode()
        marked = re.findall(r'aria-current="page">\s*<span[^>]*>[^<]*</span> ([^<]+?)\s*<', page)
        assert marked == [name], path
