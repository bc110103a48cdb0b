"""The server's sealing keys, from SEALING_KEYS."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from django.conf import settings

from kaireon.lib.sealing import Keyring, open_sealed, seal


@dataclass(frozen=True, kw_only=True)
class WrappedKeys:
    """Data keys of an app's own in the active tenant, which a new master key has to wrap anew.

    `behind` counts those of older versions, `rewrap_some` takes at most so many of them and returns how many there
    were. Both need a transaction.
    """

    name: str
    behind: Callable[[], int]
    rewrap_some: Callable[[int], int]


# Each app puts its own here as it starts; `audit_rotate_keys` walks them.
WRAPPED_KEYS: dict[str, WrappedKeys] = {}


@cache
def _parsed(keys: str) -> Keyring:
    return Keyring.parse(keys)


def keyring() -> Keyring:
    """The versioned master keys; raises what Keyring.parse raises when SEALING_KEYS is wrong."""
    return _parsed(settings.SEALING_KEYS)


def seal_text(text: str, *, context: str) -> bytes:
    return seal(text.encode(), context=context, keyring=keyring())


def open_text(token: bytes, *, context: str) -> str:
    return open_sealed(token, context=context, keyring=keyring()).decode()
