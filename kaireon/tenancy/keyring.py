"""The server's sealing keys, from SEALING_KEYS."""

from functools import cache

from django.conf import settings

from kaireon.lib.sealing import Keyring, open_sealed, seal


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
