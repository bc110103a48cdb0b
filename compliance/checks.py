"""System checks of what an environment says about retention."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register
def cooling_off_is_a_time(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.RETENTION_COOLING_OFF_HOURS >= 0:
        return []
    return [
        Error(
            "RETENTION_COOLING_OFF_HOURS is less than 0.",
            hint="Set RETENTION_COOLING_OFF_HOURS to a number of hours; 0 is none.",
            id="kaireon.E050",
        )
    ]
