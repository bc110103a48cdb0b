"""System checks: a spool that cannot be written to is found out before it is needed."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

# Smaller is full after a handful of events.
LEAST_BYTES = 64 * 1024


@register
def the_spool_can_be_written_to(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    folder = Path(settings.AUDIT_SPOOL_DIR)
    # The nearest folder that is there: the rest is made when it is needed.
    there = next(path for path in (folder, *folder.parents) if path.exists() or path == path.parent)
    found: list[CheckMessage] = []
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        found.append(
            Error(
                "AUDIT_SPOOL_DIR names a folder that cannot be written to.",
                hint="Give this process a folder of its own on a disk that survives it, mode 0700.",
                id="kaireon.E050",
            )
        )
    if settings.AUDIT_SPOOL_BYTES < LEAST_BYTES:
        found.append(
            Error(
                f"AUDIT_SPOOL_BYTES is below {LEAST_BYTES}.",
                hint="Write bytes: 67108864 keeps some hundred thousand events.",
                id="kaireon.E051",
            )
        )
    return found
