"""System checks of what an environment says about retention and holds."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from compliance.detection import thresholds
from compliance.detection.rules import LONGEST_WINDOW
from compliance.purging.periods import MODES

# The least each may be, what it is, and the id.
LEAST: dict[str, tuple[int, str, str]] = {
    "RETENTION_COOLING_OFF_HOURS": (0, "a number of hours; 0 is none", "kaireon.E060"),
    "HOLD_COOLING_OFF_HOURS": (0, "a number of hours; 0 is none", "kaireon.E061"),
    "HOLD_REMINDER_DAYS": (1, "a number of days, 1 or more", "kaireon.E062"),
    "REPORT_DAYS": (1, "a number of days, 1 or more", "kaireon.E066"),
    "DETECTION_RELEASE_PURGE_MINUTES": (1, "a number of minutes from 1 to 60", "kaireon.E064"),
    "DETECTION_ERASURES": (1, "a number, 1 or more", "kaireon.E064"),
    "DETECTION_AUDIT_VIEWS": (1, "a number, 1 or more", "kaireon.E064"),
    "DETECTION_REFUSALS": (1, "a number, 1 or more", "kaireon.E064"),
    "DETECTION_LOGIN_SOURCES": (1, "a number, 1 or more", "kaireon.E064"),
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


@register
def detection_has_its_thresholds(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    try:
        thresholds.hours(settings.DETECTION_ODD_HOURS)
    except thresholds.NotHours:
        hint = "Write two hours of a day, such as 22-6: from ten in the evening to before six."
        found.append(Error("DETECTION_ODD_HOURS is no span of hours.", hint=hint, id="kaireon.E065"))
    longest = int(LONGEST_WINDOW.total_seconds()) // 60
    if longest < settings.DETECTION_RELEASE_PURGE_MINUTES:
        # A scan looks back no further.
        hint = f"Set DETECTION_RELEASE_PURGE_MINUTES to a number of minutes from 1 to {longest}."
        found.append(Error(f"DETECTION_RELEASE_PURGE_MINUTES is more than {longest}.", hint=hint, id="kaireon.E064"))
    return found
