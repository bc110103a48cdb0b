"""Notification providers as files name them: by their names, in the order of the alphabet."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compliance.drift.kinds import NotAppliable
from compliance.models import NotificationProvider

SAID = "a list of names of notification providers"


def named() -> Mapping[str, str]:
    """The names of all there are and were, by id."""
    return {str(pk): name for pk, name in NotificationProvider.objects.values_list("pk", "name")}


def names_of(ids: Iterable[str], known: Mapping[str, str]) -> list[str]:
    return sorted(known[one] for one in ids if one in known)


def check(names: Sequence[Any]) -> None:
    """Raises ValueError."""
    if not all(isinstance(one, str) for one in names):
        raise ValueError(f"channels: must be {SAID}.")
    if names != sorted(set(names)):
        raise ValueError("channels: must be in the order of the alphabet, each once.")


def ids_of(names: Sequence[str]) -> list[str]:
    """Raises NotAppliable for a name that no provider has."""
    there = {row.name: str(row.pk) for row in NotificationProvider.objects.present()}
    if unknown := [name for name in names if name not in there]:
        raise NotAppliable(f"channels: there is no notification provider {unknown[0]!r}; make it in the admin first.")
    return [there[name] for name in names]
