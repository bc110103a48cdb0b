"""The reasons that time gives: nobody said how long, the clock has not started, the period is not over."""

from datetime import datetime, timedelta

from compliance.explaining import due
from compliance.explaining.due import Moments
from compliance.explaining.explanation import Explanation, Reason, Why, words
from compliance.purging.sweeps import Sweep
from compliance.retention.in_force import InForce
from customers.catalogue import Entity


def reasons(
    entity: Entity, said: Explanation, sweep: Sweep | None, counts: InForce | None, moments: Moments
) -> list[Reason]:
    """At most one: the first that keeps it."""
    if sweep is None:
        return [Reason(why=Why.NO_POLICY, text=f"No policy says how long the class {said.data_class} is kept.")]
    if said.clock_at is None:
        return [Reason(why=Why.NO_CLOCK, text=f"What it ages from ({said.clock}) has not happened yet.")]
    # A row goes when its clock stands before the edge: at the edge itself it is still there.
    by_policy = said.clock_at < sweep.before
    by_law = sweep.floor_before is None or moments[entity.clock] < sweep.floor_before
    if by_policy and by_law:
        return []
    ends = due.ends(entity, said.data_class, moments, now=said.at)
    if entity.own_expiry or counts is None:
        return [_own_end(said, ends)]
    if by_policy and counts.floor:
        text = (
            f"{counts.floor.citation} keeps it {counts.floor.days:,} days from {entity.clock}: until {_or_never(ends)}."
        )
        return [Reason(why=Why.LAW, text=text, until=ends)]
    return [_too_early(said.clock_at, counts, ends)]


def strictest(said: Explanation, sweep: Sweep, moments: Moments) -> list[Reason]:
    """The same of a purge that goes by the shortest period of all classes, as it stands now."""
    ends = moments[sweep.clock] + (said.at - sweep.before)
    if sweep.floor_before is not None:
        ends = max(ends, moments[sweep.entity.clock] + (said.at - sweep.floor_before))
    # Past it, not at it.
    if sweep.terms is None or ends < said.at:
        return []
    terms = sweep.terms
    whose = f", by the policy of {terms.policy_class}" if terms.policy_class else ""
    text = f"dsar-purge keeps it {terms.days:,} days{whose}: until {words(ends)}."
    return [Reason(why=Why.LAW if terms.law else Why.PERIOD, text=text, until=ends)]


def _own_end(said: Explanation, ends: datetime | None) -> Reason:
    if said.floors:
        text = f"It has ended; {said.floors[0]['citation']} keeps it {said.floors[0]['days']:,} days more."
        return Reason(why=Why.LAW, text=text, until=ends)
    return Reason(why=Why.OWN_END, text=f"It ends by itself at {_or_never(ends)}.", until=ends)


def _too_early(clock_at: datetime, counts: InForce, ends: datetime | None) -> Reason:
    until, pending = _or_never(ends), counts.pending
    if pending and ends and ends < clock_at + timedelta(days=counts.days):
        anew = f" from {pending.anchor}" if pending.anchor != counts.version.anchor else ""
        text = (
            f"Its class is kept {counts.days:,} days; a shorter period of {pending.retention_days:,}{anew} counts from"
            f" {words(pending.effective_from)}, and until then it can be taken back."
        )
        return Reason(why=Why.COOLING_OFF, text=text, until=ends)
    if counts.law:
        return Reason(
            why=Why.LAW, text=f"{counts.law.citation} keeps it {counts.days:,} days: until {until}.", until=ends
        )
    return Reason(why=Why.PERIOD, text=f"Its class is kept {counts.days:,} days: until {until}.", until=ends)


def _or_never(ends: datetime | None) -> str:
    return words(ends) if ends else "a moment that nobody can say"
