"""SIGKILL before every statement, around every commit and at every system call that leaves something on a disk.

Whoever comes later ends what was begun: everything that is done is done once, and nothing is left behind. What that is,
the same story says that nobody killed. A story is killed some times in its course, at points that change from day to
day; with KAIREON_DSAR_KILLS=all at every single point, each time from its beginning.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audit import services as audit_log
from customers import removals
from dsar.dossiers import keeping
from dsar.erasing import gates
from kaireon.approvals import services as approvals
from kaireon.jobs import services as jobs
from kaireon.lib import clock
from kaireon.tenancy.context import tenant_id, transaction
from tests.audit.kills.child import dying
from tests.dsar.certified import pinned, said_of, taken
from tests.dsar.kills.state import State, look
from tests.dsar.kills.stories import STORIES, Story, Told

EVERY = os.environ.get("KAIREON_DSAR_KILLS") == "all"
# Deaths before statements, and at system calls.
TIMES = {"at_statement": 6, "at_call": 2}
# The first point is another one each day.
TODAY = clock.now().toordinal()


class Stage:
    """Tells stories, and says what each left behind."""

    def __init__(self, story: Story, superuser_url: str, folder: Path) -> None:
        self.story = story
        self._url, self.folder = superuser_url, folder
        self._number = 0

    def prepared(self) -> tuple[Told, State]:
        self._number += 1
        told = self.story.prepare(self._number)
        return told, self._look()

    def left(self, told: Told, before: State) -> dict[str, Any]:
        """Everything that came of it, once nobody is at it any more."""
        told.act()
        # An upload that nobody claims is left alone for an hour.
        removals.remove_doomed(now=clock.now() + timedelta(hours=2))
        change = self._look().since(before)
        for verb in self.story.loose:
            change["verbs"].pop(verb, None)
        request = told.request
        said = {"status": request.status, "outcome": request.outcome, "counts": request.counts, "error": request.error}
        assert [path for path in (self.folder / "tmp").rglob("*") if path.is_file()] == []
        with transaction():
            # Tried again is asked again, but for what the story itself began with.
            approvals.demand_second_person(gates.VERB, demanded=False, now=clock.now())
        return {**change, **said}

    def _look(self) -> State:
        audit_log.drain(tenant_id(), wholly=True)
        return look(self._url, self.folder / "objects")


@pytest.fixture
def folder(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own for objects, and one for temporary files."""
    for name in ("objects", "tmp"):
        (tmp_path / name).mkdir()
    default = {**settings.STORAGES["default"], "OPTIONS": {"location": str(tmp_path / "objects")}}
    settings.STORAGES = {**settings.STORAGES, "default": default}
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", STORIES)
def test_killed_anywhere_it_is_done_once_and_leaves_nothing(
    ada: None, superuser_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    story = STORIES[name]
    if story.objects:
        monkeypatch.setattr(keeping, "MOST_IN_ROW", 100)
    # Nobody condemns a job that was lost so often.
    monkeypatch.setattr(jobs, "MAX_LOSSES", 1000)
    stage = Stage(story, superuser_url, folder)
    # The first of all makes what stays for all: months, keys of the log, folders.
    stage.left(*stage.prepared())
    told, before = stage.prepared()
    expected = stage.left(told, before)
    deaths = _everywhere(stage, expected) if EVERY else _in_its_course(stage, expected, TODAY)
    sys.stdout.write(f"{name}: killed {deaths} times\n")
    assert deaths >= 3


def _in_its_course(stage: Stage, expected: dict[str, Any], first: int) -> int:
    """The same one again and again, each time further on; then it is let go on."""
    told, before = stage.prepared()
    deaths = 0
    for kind, times in TIMES.items():
        stride = stage.story.stride if kind == "at_statement" else 5
        for point in range(1 + first % stride, 1 + first % stride + times * stride, stride):
            if not dying(told.act, **{kind: point}):
                break
            deaths += 1
    _assert_whole(stage, told, before, expected, f"{deaths} deaths from {first}")
    return deaths


def _everywhere(stage: Stage, expected: dict[str, Any]) -> int:
    deaths = 0
    for kind in TIMES:
        point = 1
        while True:
            told, before = stage.prepared()
            died = dying(told.act, **{kind: point})
            _assert_whole(stage, told, before, expected, f"{kind}={point}")
            if not died:
                break
            deaths, point = deaths + 1, point + 1
    return deaths


def _assert_whole(stage: Stage, told: Told, before: State, expected: dict[str, Any], where: str) -> None:
    left = stage.left(told, before)
    faults = {key: (left[key], expected[key]) for key in expected if left[key] != expected[key]}
    assert faults == {}, where
    assert told.request.status == "completed", where
    if stage.story.erases:
        # The certificate is true, by the verifier that knows nothing of us.
        told_of = said_of(stage.folder, taken(told.request), "--pubkey", pinned())
        assert told_of[:2] == (0, None), (where, told_of)
