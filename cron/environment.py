"""What an environment says otherwise about a job: CRON_<JOB>_SCHEDULE, CRON_<JOB>_ENABLED, CRON_<JOB>_DEADLINE.

<JOB> is the job's name in capitals with underscores, such as CRON_DLQ_REPLAY_SCHEDULE="*/30 * * * *". What is
malformed changes nothing: the job stays as it is shipped, `manage.py check` refuses, and the log says so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cron.slots import BadSchedule, Cron
from cron.work import LONGEST_DEADLINE, Job
from kaireon.lib import clock

TRUE = frozenset({"true", "on", "yes", "1"})
FALSE = frozenset({"false", "off", "no", "0"})
# What a column of beat's crontab holds at least.
LONGEST_FIELD = 64
SETTINGS = ("SCHEDULE", "ENABLED", "DEADLINE")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A variable that cannot be followed: what is wrong with it, and what to write instead."""

    variable: str
    problem: str
    remedy: str


class Unreadable(ValueError):
    """`str()` is what is wrong, `remedy` what to write instead."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.remedy = remedy


def variable(job: str, setting: str) -> str:
    """`CRON_DLQ_REPLAY_SCHEDULE` for `dlq-replay` and `SCHEDULE`."""
    return f"CRON_{job.upper().replace('-', '_')}_{setting}"


def configured(job: Job, given: Mapping[str, str]) -> Job:
    """The job as this environment wants it."""
    changes: dict[str, object] = {}
    for setting in SETTINGS:
        text = given.get(variable(job.name, setting), "").strip()
        if not text:
            continue
        try:
            changes |= _changes(setting, text)
        except Unreadable:
            # Told by `faults`; half a schedule is worse than the shipped one.
            continue
    return replace(job, shipped=job, **changes) if changes else job  # type: ignore[arg-type]


def faults(jobs: Iterable[Job], given: Mapping[str, str]) -> list[Fault]:
    """Every variable that is malformed, or that names no job."""
    found = []
    known = {variable(job.name, setting): (job, setting) for job in jobs for setting in SETTINGS}
    for name, text in sorted(given.items()):
        if name not in known:
            names = ", ".join(sorted({job.name for job, _ in known.values()}))
            found.append(Fault(variable=name, problem="names no job.", remedy=f"Unset it, or name one of: {names}."))
            continue
        job, setting = known[name]
        if not text.strip():
            continue
        try:
            _changes(setting, text.strip())
        except Unreadable as error:
            found.append(Fault(variable=name, problem=str(error), remedy=error.remedy))
            continue
        if setting == "ENABLED" and configured(job, given).schedule is None:
            schedule = variable(job.name, "SCHEDULE")
            found.append(
                Fault(variable=name, problem="is about a job without a schedule.", remedy=f"Set {schedule} too.")
            )
    return found


def _changes(setting: str, text: str) -> dict[str, object]:
    """Fields of the job. Raises Unreadable."""
    if setting == "SCHEDULE":
        return {"schedule": _schedule(text), "unscheduled": ""}
    if setting == "ENABLED":
        if text.lower() not in TRUE | FALSE:
            raise Unreadable("is neither true nor false.", "Write true or false.")
        return {"enabled": text.lower() in TRUE}
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:9]) <= LONGEST_DEADLINE:
        raise Unreadable(
            f"is no number of seconds from 1 to {LONGEST_DEADLINE}.", "Write a whole number of seconds, such as 600."
        )
    return {"deadline": int(text)}


def _schedule(text: str) -> str:
    example = 'Write five fields of cron in UTC, such as "30 4 * * *".'
    try:
        due = Cron(text).next(clock.now())
    except BadSchedule as e:
        raise Unreadable("is no schedule.", example) from e
    if due is None:
        raise Unreadable("is a schedule that is never due.", example)
    if any(len(part) > LONGEST_FIELD for part in text.split()):
        raise Unreadable("is longer than a schedule may be.", f"Write at most {LONGEST_FIELD} characters a field.")
    return " ".join(text.split())
