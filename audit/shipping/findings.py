"""What reconciling found: of a range of a log's records, what a destination has and has not."""

from dataclasses import dataclass, field
from typing import Any

# Of faults of a kind so many are named.
NAMED = 100


@dataclass(kw_only=True)
class Reconciled:
    """What was found in `first` to `last`. `missing` and `different` are numbers of records, `unknown` event ids of
    the log's that it never had; `receipts_missing` and `receipts_wrong` are the first numbers of their ranges. Of
    `different` ones a copy at least says something else than the log; `copies` counts what is there more than once.

    `still_missing` is what could not be repaired; a destination that refused a record names it in `refused`. `lost` are
    ranges that retention removed before they were shipped.
    """

    first: int
    last: int
    expected: int = 0
    found: int = 0
    missing: list[int] = field(default_factory=list)
    different: list[int] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    receipts: int = 0
    receipts_missing: list[int] = field(default_factory=list)
    receipts_wrong: list[int] = field(default_factory=list)
    reshipped: int = 0
    still_missing: list[int] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)
    copies: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether every record and receipt of the range is there, now, and none differs."""
        return not (self.still_missing or self.different or self.unknown or self.receipts_wrong or self.lost)

    def json(self) -> dict[str, Any]:
        return {
            "firstSeq": self.first,
            "lastSeq": self.last,
            "records": self.expected,
            "found": self.found,
            "missing": len(self.missing),
            "missingSeqs": self.missing[:NAMED],
            "different": self.different[:NAMED],
            "unknown": self.unknown[:NAMED],
            "copies": self.copies,
            "neverShipped": self.lost[:NAMED],
            "refused": self.refused[:NAMED],
            "receipts": self.receipts,
            "receiptsMissing": len(self.receipts_missing),
            "receiptsWrong": self.receipts_wrong[:NAMED],
            "reshipped": self.reshipped,
            "stillMissing": len(self.still_missing),
            "whole": self.is_whole,
        }


class Interrupted(RuntimeError):
    """The destination could not be asked any more. `found` is what was found up to its `last`; `code` says why."""

    def __init__(self, found: Reconciled, code: str) -> None:
        super().__init__(code)
        self.found = found
        self.code = code
