"""Objects in storage that are written once and never changed: what left the database so that it can be held to it."""

from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

# Larger ones are none of these.
MOST_BYTES = 1024 * 1024


class WrittenOtherwise(RuntimeError):
    """Under this name storage holds something else. Compare them: one of the two was tampered with."""


def put(name: str, content: bytes) -> None:
    """Write an object, to stay, and read it back; one that is there already must say the same.

    Raises WrittenOtherwise, and what the storage raises (OSError, botocore's errors): call it again then.
    """
    there = read(name, len(content) + 1)
    if there is not None and there != content and content.startswith(there):
        # Whoever wrote it was stopped in the middle.
        default_storage.delete(name)
        there = None
    if there is None:
        saved = default_storage.save(name, ContentFile(content))
        if saved != name:
            # Another one was faster; its object is compared now.
            default_storage.delete(saved)
        there = read(name, len(content) + 1)
    if there != content:
        raise WrittenOtherwise(name)
    _storage().settle(name)


def read(name: str, most: int = MOST_BYTES) -> bytes | None:
    """The first bytes of an object; None when there is none."""
    if not default_storage.exists(name):
        return None
    with default_storage.open(name) as stored:
        return bytes(stored.read(most))


def remove(name: str) -> None:
    """Take away an object that was only begun, so that `put` can write it."""
    default_storage.delete(name)


def names_after(folder: str, after: str = "") -> list[str]:
    """The names right in a folder that sort behind `after`, in their order: one look, however many lie before."""
    found: list[str] = _storage().names_after(folder, after)
    return found


def _storage() -> Any:
    """As kaireon/api/storage.py guards it."""
    return default_storage
