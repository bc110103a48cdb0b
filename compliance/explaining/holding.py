"""The reasons that holds give."""

from collections.abc import Collection
from datetime import datetime

from compliance.explaining.explanation import Explanation, Reason, Why, words
from compliance.models import Hold, HoldState, Kind

# Of a request, as its own page says it.
FAILED = "failed"


def reasons(said: Explanation, covering: Collection[Hold]) -> list[Reason]:
    """The reasons that holds give, in their order of precedence."""
    found = []
    if any(hold["kind"] == "class" for hold in said.holds):
        text = f"The class {said.data_class} is on legal hold as a whole."
        found.append(Reason(why=Why.CLASS_HOLD, text=text))
    found.extend(
        Reason(why=Why.HOLD, text=_hold_text(hold), until=ends(hold)) for hold in covering if hold.matter is not None
    )
    if any(hold.kind == Kind.REQUEST for hold in covering):
        text = "A request of its person is open: until it is answered, retention leaves it alone."
        if all(request["status"] == FAILED for request in said.requests):
            text = (
                "A request of its person failed and is still owed an answer: until it is tried again and answered,"
                " retention leaves it alone."
            )
        found.append(Reason(why=Why.OPEN_REQUEST, text=text))
    return found


def _hold_text(hold: Hold) -> str:
    name = hold.matter.name if hold.matter else ""
    if hold.state == HoldState.RELEASING and hold.releases_at:
        return (
            f"Held for the matter {name}; the hold is being released and still holds until {words(hold.releases_at)}."
        )
    return f"Held for the matter {name} until that hold is released."


def ends(hold: Hold) -> datetime | None:
    """When it ends by itself."""
    return hold.releases_at if hold.state == HoldState.RELEASING else None
