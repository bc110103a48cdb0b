from typing import TYPE_CHECKING

from django.apps import AppConfig

from tests.bench.jobs import timekeeper

if TYPE_CHECKING:
    from kaireon.jobs.runner import JobRun

# A type and a queue for each number of processes.
QUEUES = {1: "batch-jobs", 2: "pipeline-jobs"}


def job_type_of(processes: int) -> str:
    return f"bench_noop_{processes}"


class NoopConfig(AppConfig):
    name = "tests.bench.jobs.noop"
    label = "bench_noop"

    def ready(self) -> None:
        from kaireon.jobs import runner
        from kaireon.jobs.registry import job_type

        for processes, queue in QUEUES.items():
            job_type(job_type_of(processes), queue=queue)(do_nothing)
        # A message may bring a worker to several jobs: each is counted when its end is committed.
        runner.work = timekeeper.telling(runner.work)


def do_nothing(_run: "JobRun") -> None:
    """The runner marks the job done afterwards, as it does for every handler that leaves it to it."""
