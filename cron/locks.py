"""One run of a job at a time, whoever starts it."""

from contextlib import AbstractContextManager

from kaireon.tenancy.alone import alone


def only_run(job: str) -> AbstractContextManager[bool]:
    """True when nobody else runs the job now; then nobody does until the block ends, or this process does."""
    return alone(f"cron:{job}")
