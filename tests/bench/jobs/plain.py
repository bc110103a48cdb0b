"""Celery as it comes, and Celery that is as careful with its messages as the product's: a task that does nothing."""

import os

from celery import Celery

from tests.bench.jobs import timekeeper

BROKER_VARIABLE = "BENCH_BROKER_URL"
TASK = "bench.noop"


def _app(**settings: object) -> Celery:
    made = Celery(broker=os.environ.get(BROKER_VARIABLE, ""), set_as_current=False)
    made.conf.update(broker_connection_retry_on_startup=True, **settings)
    made.task(name=TASK, shared=False)(do_nothing)
    timekeeper.watch(TASK)
    return made


def do_nothing() -> None:
    """No rows."""


stock = _app()
# What a message needs that must not be lost with its worker.
careful = _app(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)
