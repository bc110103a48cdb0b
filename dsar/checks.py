"""System checks of what an environment says about requests of data subjects."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register
def window_is_a_time(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.DSAR_ERASURE_WINDOW_HOURS >= 0:
        return []
    hint = "Set DSAR_ERASURE_WINDOW_HOURS to a number of hours; 0 is none."
    return [Error("DSAR_ERASURE_WINDOW_HOURS is less than 0.", hint=hint, id="kaireon.E070")]
