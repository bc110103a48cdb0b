"""The configured storage behind its breakers: whoever uses `default_storage` is covered, wherever it lies.

A bucket is in kaireon/api/buckets.py: its client is a tenth of what a process imports, and most have no bucket.

Reading and writing have one each: a bucket that is full still answers, before each write, that the object is not there.
"""

import os
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

from kaireon.api.breakers import STORAGE, Breaker

# What storages raise when they cannot be asked; a file that is not there is one of them.
FAULTS = (OSError, BotoCoreError, ClientError)


class Guarded(ABC):
    """Besides what the storage raises, each may raise BreakerOpen, which is an OSError."""

    def place(self) -> str:
        """What tells this storage from others, for its breakers: the same in every process."""
        raise TypeError("say which storage this is")

    @cached_property
    def reads(self) -> Breaker:
        return Breaker(STORAGE, instance=f"{self.place()}:read", ignore=(_is_no_fault,))

    @cached_property
    def writes(self) -> Breaker:
        return Breaker(STORAGE, instance=f"{self.place()}:write", ignore=(_is_no_fault,))

    def _open(self, name: str, mode: str = "rb") -> "File[Any]":
        guard = self.reads if "r" in mode else self.writes
        return cast("File[Any]", guard.call(super()._open, name, mode))  # type: ignore[misc]

    def _save(self, name: str, content: "File[Any]") -> str:
        return cast(str, self.writes.call(super()._save, name, content))  # type: ignore[misc]

    def delete(self, name: str) -> None:
        self.writes.call(super().delete, name)  # type: ignore[misc]

    def exists(self, name: str) -> bool:
        return cast(bool, self.reads.call(super().exists, name))  # type: ignore[misc]

    def size(self, name: str) -> int:
        return cast(int, self.reads.call(super().size, name))  # type: ignore[misc]

    def names_after(self, folder: str, after: str) -> list[str]:
        """The names of the objects right in a folder that sort behind `after`, in their order. None: no such folder."""
        return self.reads.call(self._names_after, folder, after)

    def settle(self, name: str) -> None:
        """Come back when an object that was saved survives the loss of power."""
        self.writes.call(self._settle, name)

    @abstractmethod
    def _names_after(self, folder: str, after: str) -> list[str]:
        """What `names_after` gives, by whatever the storage has for it."""

    @abstractmethod
    def _settle(self, name: str) -> None:
        """What `settle` does, where the storage does not do it by itself."""


class GuardedFolder(Guarded, FileSystemStorage):
    """A folder, which may lie on another machine."""

    def place(self) -> str:
        return str(self.base_location)

    def _names_after(self, folder: str, after: str) -> list[str]:
        try:
            with os.scandir(self.path(folder)) as entries:
                return sorted(entry.name for entry in entries if entry.name > after and entry.is_file())
        except FileNotFoundError:
            return []

    def _settle(self, name: str) -> None:
        path = Path(self.path(name))
        # The object, then each folder up to the root: any of them may be new.
        for place in (path, *path.parents):
            synced = os.open(place, os.O_RDONLY)
            try:
                os.fsync(synced)
            finally:
                os.close(synced)
            if str(place) == self.location:
                break


def _is_no_fault(error: BaseException) -> bool:
    """Whether storage did its work and the answer was no: nothing there, or a name it must not take."""
    if isinstance(error, ClientError):
        return bool(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404)
    return isinstance(error, FileNotFoundError | SuspiciousOperation)
