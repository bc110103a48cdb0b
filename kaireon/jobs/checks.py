"""System checks of how long work is left alone."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

LEAST_SECONDS = 4


@register
def lease_outlives_a_beat(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.JOB_LEASE_SECONDS >= LEAST_SECONDS:
        return []
    return [
        Error(
            f"JOB_LEASE_SECONDS is {settings.JOB_LEASE_SECONDS}: healthy jobs would lose their leases.",
            hint=f"Set it to {LEAST_SECONDS} or more; 30 is the default.",
            id="kaireon.E030",
        )
    ]
