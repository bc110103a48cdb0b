"""System checks of what an environment says about retention and holds."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from compliance.purging.periods import MODES

# The least each may be, what it is, and the id.
LEAST: dict[str, tuple[int, str, str]] = {
    "RETENTION_COOLING_OFF_HOURS": (0, "a number of hours; 0 is none", "kaireon.E060"),
    "HOLD_COOLING_OFF_HOURS": (0, "a number of hours; 0 is none", "kaireon.E061"),
    "HOLD_REMINDER_DAYS": (1, "a number of days, 1 or more", "kaireon.E062"),
}


@register
def periods_are_times(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(f"{name} is less than {least}.", hint=f"Set {name} to {what}.", id=check)
        for name, (least, what, check) in LEAST.items()
        if getattr(settings, name) < least
    ]


@register
def purge_mode_is_known(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.DSAR_PURGE_MODE in MODES:
        return []
    # Until then it is per_class, which never keeps less.
    hint = f"Set it to {' or '.join(MODES)}, or unset it for {MODES[0]}."
    return [Error("DSAR_PURGE_MODE is unknown.", hint=hint, id="kaireon.E063")]
