"""The switch SKIP_JOB_TYPES: these types of job stay queued, and lose nothing, until it is unset.

It is set where jobs are worked on. Workers announce it, so that the admin and the gauges, which are elsewhere, show
what is paused.
"""

import json
import logging
from typing import Any

import redis
from django.conf import settings

from kaireon.api import cache

logger = logging.getLogger("kaireon.jobs")

_KEY = "jobs:paused"
# Beyond the sweep's interval, so that a slow beat does not make it flicker.
_SECONDS = 60


def here() -> list[str]:
    """What this process skips."""
    return [name.strip() for name in settings.SKIP_JOB_TYPES if name.strip()]


def announce() -> None:
    """Tell other processes what this worker skips. Best effort: the skipping itself does not depend on it."""
    try:
        if here():
            cache.client().set(_KEY, json.dumps(here()), ex=_SECONDS)
        else:
            cache.client().delete(_KEY)
    except redis.RedisError as error:
        logger.warning("pauses_not_announced", extra={"error_type": type(error).__name__})


def everywhere() -> frozenset[str]:
    """What this process skips, or a worker said it skips within the last minute."""
    try:
        said: Any = cache.client().get(_KEY)
    except redis.RedisError as error:
        logger.warning("pauses_not_known", extra={"error_type": type(error).__name__})
        said = None
    return frozenset(here()) | frozenset(json.loads(said) if said else ())
