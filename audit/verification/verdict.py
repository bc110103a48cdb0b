"""What a verification says of a log."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Reason = Literal["hash_mismatch", "chain_link_mismatch", "sequence_gap", "truncated", "checkpoint_mismatch"]


class Fault(NamedTuple):
    """The first thing that does not hold, and the record where it shows; None when the log has none there."""

    reason: Reason
    seq: int | None = None
    id: str | None = None


@dataclass
class Verdict:
    """What a verification found. `verified` counts the records before the first fault."""

    total: int
    window: bool
    verified: int = 0
    scanned: int = 0
    broken_at_id: str | None = None
    broken_at_seq: int | None = None
    broken_reason: Reason | None = None
    # The restore by which the checkpoint that was asked for was lost, as was acknowledged then.
    lost_by_restore: int | None = None

    @property
    def intact(self) -> bool:
        return self.broken_reason is None

    def as_wire(self) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "intact": self.intact,
            "verified": self.verified,
            "total": self.total,
            "scanned": self.scanned,
        }
        if self.window:
            answer["windowOnly"] = True
        if not self.intact:
            answer |= {"brokenAtId": self.broken_at_id, "brokenReason": self.broken_reason}
        if self.lost_by_restore is not None:
            answer["lostByRestore"] = self.lost_by_restore
        return answer

    def broken(self, fault: Fault) -> None:
        """The first fault counts."""
        if self.intact:
            self.broken_reason, self.broken_at_seq, self.broken_at_id = fault
