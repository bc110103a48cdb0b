"""Erasures that left something under a hold. The restored database may not know that hold: done again as it is, they
would take what was held."""

from collections.abc import Iterable, Mapping
from typing import Any

from dsar.journal import entries
from dsar.journal.outside import Outside
from dsar.models import ErasureEntry
from kaireon.tenancy.context import requires_transaction


@requires_transaction
def kept(found: Iterable[Outside]) -> list[int]:
    """The numbers of the entries that are to be done again and whose people had rows left, by what was said of each
    person last. `found`: those that the database does not know yet. Raises JournalBroken."""
    begun = ErasureEntry.objects.to_replay().in_order()
    said = [entries.opened(bytes(row.content), form=entries.ENTRY, name=str(row)) for row in begun]
    return _left_last([*said, *(one.said for one in found)])


def _left_last(said: Iterable[Mapping[str, Any]]) -> list[int]:
    last: dict[str, tuple[int, bool]] = {}
    for one in said:
        for subject in one["subjects"]:
            for key in filter(None, (subject["ref"], subject["number"])):
                last[key] = one["number"], bool(one["counts"]["retained"])
    return sorted({number for number, left in last.values() if left})
