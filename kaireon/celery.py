"""The Celery application. Rows are the queue of record; Celery carries the wake-up."""

import gc
import logging.config
import os
import sys
import time
from typing import Any

from celery import Celery
from celery.signals import import_modules, setup_logging, task_prerun, worker_init, worker_shutting_down
from django.apps import apps
from django.db import close_old_connections, connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kaireon.settings")


@import_modules.connect
def look_for_no_garbage_yet(**_: Any) -> None:
    """As in manage.py, and before Celery sets Django up, which hears of the same signal later."""
    if not apps.ready:
        gc.disable()


app = Celery("kaireon")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# Celery would close the database connection before and after every task; what it takes to open one is several tasks.
app.conf.update(CELERY_DB_REUSE_MAX=sys.maxsize)


# A connection that was good so short a time ago is not tried again. Should it break meanwhile, a task fails for which
# there is a row, and a sweep finds that.
GOOD_SECONDS = 1.0
_tried_at = 0.0


@task_prerun.connect
def keep_good_connections(*, task: Any, **_: Any) -> None:
    """As between two requests: what is broken or too old is closed, the rest is tried at its first use."""
    global _tried_at  # noqa: PLW0603  of this process, as the connections are
    if task.request.is_eager:
        return
    now = time.monotonic()
    if now - _tried_at >= GOOD_SECONDS or any(c.errors_occurred for c in connections.all(initialized_only=True)):
        _tried_at = now
        close_old_connections()


@setup_logging.connect
def log_as_the_product_does(**_: Any) -> None:
    """JSON lines from workers and beat too; Celery would put its own format in their place."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)


@worker_init.connect
def refuse_to_start_without_walls(**_: Any) -> None:
    """In production, do not work on a database whose walls between tenants are down."""
    from django.conf import settings

    from kaireon.tenancy import walls

    if not settings.PRODUCTION:
        return
    try:
        walls.require()
    except walls.WallsDown as error:
        # Celery swallows what a receiver raises, but for this.
        raise SystemExit(f"The worker does not start: {error}") from error
    finally:
        # The pool's processes are forked from this one and open connections of their own.
        connections.close_all()


@worker_shutting_down.connect
def end_when_told_to(**_: Any) -> None:
    from kaireon.jobs import ending

    ending.watch()
