"""Where exported files lie: `exports/{tenant}/interaction_history/year=/month=/day=/batch-{ts}.json`."""

from datetime import UTC, datetime

from kaireon.tenancy import context


def folder() -> str:
    """Of the active tenant; all of it begins so."""
    return f"exports/{context.tenant_id()}/interaction_history/"


def batch(cut_at: datetime, *, ending: str, revision: int = 0) -> str:
    """The day is that of the cut, in UTC; a revision has its number in the name. `ending`: formats.py."""
    at = cut_at.astimezone(UTC)
    again = f".r{revision}" if revision else ""
    return f"{folder()}year={at:%Y}/month={at:%m}/day={at:%d}/batch-{at:%Y%m%dT%H%M%S%f}Z{again}.{ending}"


def manifest(number: int) -> str:
    # What begins with an underscore is passed by, by those who read such folders as a table.
    return f"{folder()}_manifests/{number:010d}.json"
