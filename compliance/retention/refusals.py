"""Why a decision about a policy is not made."""

from collections.abc import Mapping

from compliance.models import CLOCK, MAX_DAYS, MIN_DAYS
from compliance.retention.laws import Bound
from customers.catalogue import DATA_CLASSES


class UnknownDataClass(ValueError):
    """No data class has this name. `str()` of it lists those there are."""

    def __init__(self) -> None:
        super().__init__(f"unknown data class; known are {', '.join(sorted(DATA_CLASSES))}.")


class DaysOutOfRange(ValueError):
    """retention_days must be a whole number from 1 to 36500."""

    def __init__(self) -> None:
        super().__init__(f"must be a whole number of days from {MIN_DAYS} to {MAX_DAYS}.")


class UnknownAnchor(ValueError):
    """No row of the class has this column to count from. `str()` of it lists those there are."""

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__(f"unknown anchor; known are {', '.join((CLOCK, *known))}.")


class NoDays(ValueError):
    """A class without a policy was asked to keep its days: say how many."""


class InThePast(ValueError):
    """effective_from is over. `str()` of it says so."""

    def __init__(self) -> None:
        super().__init__("must not be in the past.")


class BelowFloor(ValueError):
    """A law that binds the tenant asks for more days. `str()` of it names it."""

    def __init__(self, floor: Bound) -> None:
        super().__init__(f"must be at least {floor.days}: {floor.citation}, {floor.says}.")


class ClockMovedBack(RuntimeError):
    """This machine's clock stands before the last decision about this policy. Set it right first."""

    def __init__(self) -> None:
        super().__init__("the clock stands before the last decision about this policy: set it right first.")


class MayOnlyLengthen(ValueError):
    """The policy is in compliance mode. `str()` of it says what that means."""

    def __init__(self) -> None:
        super().__init__("a policy in compliance mode may only be lengthened, and never leaves that mode.")


class ReasonRequired(ValueError):
    """The policy is in governance mode: to loosen it takes a reason."""

    def __init__(self) -> None:
        super().__init__("a policy in governance mode is shortened, or let out of it, with a reason only.")


class NeedsSecondPerson(RuntimeError):
    """The policy is in governance mode: somebody else has to agree. `governed.ask` asks them."""


class ReleaseNeedsSecondPerson(RuntimeError):
    """The tenant demands a second person to release the hold on a class. `class_releases.ask` asks them."""


class NothingWaits(RuntimeError):
    """No decision about this class waits to take effect, or it did so already."""


# What somebody wanted to do and may not, by the fact that is recorded. A slip of the pen is none.
REFUSED: Mapping[type[Exception], str] = {
    BelowFloor: "below_floor",
    MayOnlyLengthen: "may_only_lengthen",
    ReasonRequired: "reason_required",
    InThePast: "in_the_past",
    ClockMovedBack: "clock_moved_back",
}

# What is wrong with a field as it was sent: its name, and the code that is answered.
OF_FIELD: Mapping[type[Exception], tuple[str, str]] = {
    UnknownDataClass: ("dataClass", "unknown_data_class"),
    DaysOutOfRange: ("retentionDays", "days_out_of_range"),
    UnknownAnchor: ("anchor", "unknown_anchor"),
    MayOnlyLengthen: ("retentionDays", "may_only_lengthen"),
    ReasonRequired: ("reason", "reason_required"),
    BelowFloor: ("retentionDays", "below_floor"),
    InThePast: ("effectiveFrom", "in_the_past"),
}
