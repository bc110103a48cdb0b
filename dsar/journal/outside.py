"""Reading the journal: what is outside that the database does not know of, checked before anything is believed."""

from dataclasses import dataclass
from typing import Any

from dsar.journal import entries
from dsar.journal.entries import JournalBroken
from dsar.models import ErasureEntry
from kaireon.api import written_once
from kaireon.tenancy.context import PLATFORM, current, requires_transaction, transaction, without_transaction


@dataclass(frozen=True)
class Outside:
    """An entry as its object says it."""

    number: int
    content: bytes
    said: dict[str, Any]


@requires_transaction
def last_known() -> str:
    """The name of the database's newest entry, written or not; "" for none."""
    if current().tenant_id == PLATFORM:
        return ""
    newest = ErasureEntry.objects.in_order().last()
    return entries.file_name(newest.number) if newest else ""


@without_transaction
def lost_names() -> list[str]:
    """The names of entries that the database knows nothing of. Raises what the storage raises."""
    if current().tenant_id == PLATFORM:
        return []
    with transaction():
        after = last_known()
    names = _entries_after(after)
    if not names:
        return []
    with transaction():
        # Some may have been noted and written since.
        known = last_known()
    return [name for name in names if name > known]


@without_transaction
def read() -> list[Outside]:
    """The entries that the database does not know, in order, each one checked, and the one before them too.

    Raises JournalBroken, and what the storage raises.
    """
    with transaction():
        newest = ErasureEntry.objects.in_order().last()
    number, previous = (newest.number, newest.sha256) if newest else (0, None)
    if newest is not None and newest.written_at is not None:
        _same(newest)
    found: list[Outside] = []
    for name in _entries_after(entries.file_name(number) if number else ""):
        number += 1
        whole = entries.entry_name(number)
        if name != entries.file_name(number):
            raise JournalBroken(f"{whole} is missing, and there are later ones: the journal was cut")
        content = written_once.read(whole) or b""
        with transaction():
            said = entries.opened(content, form=entries.ENTRY, name=whole)
        if (said["number"], said["previous"]) != (number, previous):
            raise JournalBroken(f"{whole} does not follow the entry before it: one of the two was exchanged")
        previous = entries.digest(content)
        found.append(Outside(number, content, said))
    return found


@without_transaction
def check_length(*, checkpoint: str, tree_size: int, read: list[Outside]) -> None:
    """Hold the journal against what was stated beside the newest published checkpoint, by the name of its object.

    Raises JournalBroken, and what the storage raises.
    """
    name = entries.statement_name(checkpoint)
    content = written_once.read(name)
    if content is None:
        raise JournalBroken(f"{name} is missing: nothing says how many erasures there were by that checkpoint")
    with transaction():
        said = entries.opened(content, form=entries.STATEMENT, name=name)
        if said["treeSize"] != tree_size:
            raise JournalBroken(f"{name} was stated of another checkpoint")
        if not said["number"]:
            return
        known = ErasureEntry.objects.filter(number=said["number"]).values_list("sha256", flat=True).first()
    last = known or next((entries.digest(one.content) for one in read if one.number == said["number"]), None)
    if last is None:
        there = read[-1].number if read else 0
        raise JournalBroken(
            f"{entries.folder()} ends at entry {there or 'none'} and there were {said['number']} when {name} was"
            " written: the journal was cut"
        )
    if last != said["last"]:
        raise JournalBroken(f"entry {said['number']} of {entries.folder()} is not the one that {name} speaks of")


def _same(newest: ErasureEntry) -> None:
    name = entries.entry_name(newest.number)
    if written_once.read(name) != bytes(newest.content):
        raise JournalBroken(f"{name} is missing or not as it was written")


def _entries_after(after: str) -> list[str]:
    return [name for name in written_once.names_after(entries.folder(), after) if name.endswith(".json")]
