"""SIGKILL while a report is made: it is completed with its files and messages or not at all, and told of once."""

import io
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage

from compliance.models import ReportRun
from customers import removals
from customers.models.removal import ObjectRemoval
from kaireon.jobs.models import Job, JobState
from kaireon.lib import clock
from kaireon.outbox.models import Message
from kaireon.tenancy.context import transaction
from tests.audit.kills.child import dying, fork, killed
from tests.cast import ADA
from tests.reporting.conftest import NOON, again, content, kept, look, made, make, notices, provider, work
from tests.reporting.test_running import objects

pytestmark = pytest.mark.usefixtures("db")
# Between two deaths; with one that parts commits from what is before and after them.
STEP = 7


@pytest.fixture
def run() -> ReportRun:
    desk = provider(kind="email", recipients=["desk@acme.example"])
    make(channels=[str(desk.pk)], formats=["csv", "html"])
    look(NOON + timedelta(days=1))
    [run] = made()
    return run


def is_whole(run: ReportRun) -> bool:
    """Whether it is completed; then everything is there, else nothing of it."""
    done = again(run).state == "completed"
    assert (len(kept()), len(notices())) == ((2, 1) if done else (0, 0))
    with ADA.here(), transaction():
        assert (Job.objects.get(pk=run.job_ref).state == JobState.DONE) is done
        # Its lease runs out. Of a job whose workers die again and again tests/jobs tell.
        Job.objects.filter(pk=run.job_ref).exclude(state=JobState.DONE).update(
            lease_until=clock.now() - timedelta(hours=1), losses=0, crashes=0
        )
    return done


def ended(run: ReportRun) -> None:
    work(run)
    assert is_whole(run)
    with ADA.here():
        # An upload that nobody claims is left alone for an hour.
        removals.remove_doomed(now=clock.now() + timedelta(hours=2))
        with transaction():
            assert Message.objects.filter(topic="report.email").count() == 1
            assert not ObjectRemoval.objects.exists()
    assert len(objects()) == 2
    assert b"Test report" in content(run)
    assert b"<h1" in content(run, "html")


def test_at_statements_and_around_commits(run: ReportRun) -> None:
    point, deaths = 3, 0
    while dying(lambda: work(run), at_statement=point):
        deaths += 1
        point += STEP
        is_whole(run)
    assert deaths > 3
    ended(run)


def test_in_the_middle_of_a_file(run: ReportRun) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def half(save: Callable[[str, Any], str]) -> Callable[[str, Any], None]:
        return lambda name, body: (save(name, type(body)(io.BytesIO(body.read(40)))), die())[1]

    def dies() -> None:
        default_storage.save = half(default_storage.save)  # type: ignore[method-assign,assignment]
        work(run)

    assert killed(fork(dies))
    assert not is_whole(run)
    assert len(objects()) == 1
    ended(run)
