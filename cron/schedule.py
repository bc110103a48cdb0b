"""What beat sends, and when: the jobs that have a schedule, and the pulse of the layers below. All in UTC."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.conf import settings

from cron.jobs import JOBS
from cron.tasks import QUEUE, RUN_TASK
from cron.work import Job


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One beat row. `cron` (five fields, UTC) or `every` seconds; `expires` seconds after which nobody wants it."""

    name: str
    task: str
    help: str
    cron: str = ""
    every: int = 0
    expires: int | None = None
    queue: str = QUEUE
    enabled: bool = True
    arguments: dict[str, str] = field(default_factory=dict)

    @property
    def when(self) -> str:
        """The schedule as text, the same for the same schedule."""
        return self.cron or f"every {self.every} s"


def entry_of(job: Job) -> Entry:
    return Entry(
        name=job.name,
        task=RUN_TASK,
        help=job.help,
        cron=job.schedule or "",
        enabled=job.enabled,
        arguments={"job": job.name},
    )


# Routes of jobs that beat does not send, each with the reason. A job in JOBS says it in `unscheduled`.
EXEMPT: dict[str, str] = {}


def without_schedule(names: Iterable[str]) -> set[str]:
    """Those among the names of jobs that are neither in SCHEDULE nor exempt in writing."""
    scheduled = {entry.name for entry in SCHEDULE}
    exempt = set(EXEMPT) | {job.name for job in JOBS.values() if job.unscheduled}
    return set(names) - scheduled - exempt


SCHEDULE: tuple[Entry, ...] = (
    *(entry_of(job) for job in JOBS.values() if job.schedule),
    # Each is a look at what is there: one that comes late is made up for by the next.
    *(
        Entry(
            name=f"jobs.sweep {queue}",
            task="jobs.sweep",
            help=f"Wake workers of {queue} for jobs whose message was lost.",
            every=5,
            expires=10,
            queue=queue,
            arguments={"queue": queue},
        )
        for queue in settings.QUEUES
    ),
    Entry(
        name="outbox.sweep",
        task="outbox.sweep",
        help="Wake workers for messages that are due.",
        every=5,
        expires=10,
        queue="journey-jobs",
    ),
    Entry(
        name="audit.drain",
        task="audit.drain_all",
        help="Sequence what waits, should no sequencer run.",
        every=60,
        expires=60,
    ),
)
