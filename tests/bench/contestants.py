"""Who is measured. The first one is the floor: every ratio is against it."""

from dataclasses import dataclass
from typing import Literal

Sequencer = Literal["none", "idle", "running"]


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A way to write the same order. `writes` names a function of `module` that gives a Write."""

    name: str
    title: str
    project: str
    writes: str = "recorded"
    package: str = ""
    sequencer: Sequencer = "none"

    @property
    def is_peer(self) -> bool:
        return bool(self.package)

    @property
    def module(self) -> str:
        return f"tests.bench.{self.project}.write"

    @property
    def settings(self) -> str:
        return f"tests.bench.{self.project}.settings"


CONTESTANTS = (
    Contestant(name="floor", title="Kaireon, the same without audit", project="ours", writes="unaudited"),
    Contestant(name="idle", title="Kaireon, sequencer idle", project="ours", writes="audited", sequencer="idle"),
    Contestant(
        name="running", title="Kaireon, sequencer running", project="ours", writes="audited", sequencer="running"
    ),
    Contestant(name="auditlog", title="django-auditlog", project="with_auditlog", package="django-auditlog"),
    Contestant(
        name="simple-history",
        title="django-simple-history",
        project="with_simple_history",
        package="django-simple-history",
    ),
    Contestant(name="pghistory", title="django-pghistory", project="with_pghistory", package="django-pghistory"),
    Contestant(name="plain", title="plain Django: no walls, no audit", project="plain"),
)
FLOOR = CONTESTANTS[0]
# What the peers' writes are without them.
PLAIN = CONTESTANTS[-1]
# Shares of the floor that are promised at this many processes.
TARGETS = {"idle": 0.9, "running": 0.7}
TARGET_PROCESSES = 4
