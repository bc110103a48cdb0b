"""Who is measured. The first one is the floor: every ratio is against it."""

from dataclasses import dataclass
from typing import Literal

Sequencer = Literal["none", "idle", "running"]


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A way to write the same order. `writes` names a function of the project's `write` module that gives a Write."""

    name: str
    title: str
    writes: str
    project: str = "ours"
    package: str = ""
    sequencer: Sequencer = "none"

    @property
    def is_peer(self) -> bool:
        return bool(self.package)


def _peer(package: str, writes: str) -> Contestant:
    return Contestant(name=package.removeprefix("django-"), title=package, writes=writes, package=package)


CONTESTANTS = (
    Contestant(name="floor", title="The same without audit", writes="unaudited"),
    Contestant(name="idle", title="Kaireon, sequencer idle", writes="audited", sequencer="idle"),
    Contestant(name="running", title="Kaireon, sequencer running", writes="audited", sequencer="running"),
    _peer("django-auditlog", "with_auditlog"),
    _peer("django-simple-history", "with_simple_history"),
    _peer("django-pghistory", "with_pghistory"),
    Contestant(name="plain", title="plain Django: no walls, no audit", project="plain", writes="plain"),
)
FLOOR = CONTESTANTS[0]
# Shares of the floor that are promised at this many processes.
TARGETS = {"idle": 0.9, "running": 0.75}
TARGET_PROCESSES = 4
