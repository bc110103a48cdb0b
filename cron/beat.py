"""Beat's scheduler, knowing that the schedule's rows are recorded: whoever changes one must say who they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from cron import beat_rows
from kaireon.tenancy.context import Actor, platform_scope, transaction


class Entry(ModelEntry):  # type: ignore[misc]
    """Noting that a row ran is no change of the schedule; disabling it is, and beat does it itself now and then."""

    def _disable(self, model: PeriodicTask) -> None:
        with _as_beat():
            super()._disable(model)

    def is_due(self) -> Any:
        if self.model.one_off and self.model.enabled and self.model.total_run_count > 0:
            with _as_beat():
                return super().is_due()
        return super().is_due()


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """Reconciles the rows with cron/schedule.py when it starts, and installs nothing else."""

    Entry = Entry

    def setup_schedule(self) -> None:
        beat_rows.install()


@contextmanager
def _as_beat() -> Iterator[None]:
    with platform_scope(actor=Actor.system("beat")), transaction():
        yield
