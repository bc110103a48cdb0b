"""One chaos run: order work while everything dies at random, let it settle, and see what became of it."""

import random
import time
from dataclasses import dataclass

import psycopg
from redis.exceptions import RedisError

from kaireon.local.progress import say, step
from tests.chaos import orders as ordering
from tests.chaos.monkey import Monkey
from tests.chaos.receivers import Hook, Reader
from tests.chaos.settled import unsettled
from tests.chaos.stage import Stage
from tests.chaos.verdict import Verdict
from tests.chaos.work import TABLE

TICK = 0.05


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`orders` pieces of work, given over `seconds` while the monkey is about; `patience` seconds to settle after."""

    seed: int
    orders: int
    seconds: float
    patience: float


def run(stage: Stage, plan: Plan) -> list[str]:
    """The faults. The servers run, Django is set up."""
    rng = random.Random(plan.seed)
    ordered = ordering.orders(rng, plan.orders)
    hook = Hook()
    try:
        with step(f"{len(ordering.TENANTS)} tenants and their customers"):
            with stage.superuser() as connection:
                connection.execute(TABLE)
            ordering.furnish(ordered, hook.url)
            ordering.hurry()
        with step("Workers, beat, sequencer"):
            stage.start_processes()
        reader = Reader(stage.redis.url(3), ordering.streams())
        monkey = Monkey(stage, reader, rng)
        with step(f"{plan.orders} orders in {plan.seconds:.0f} s, and the monkey"):
            _chaos(stage, plan, ordered, monkey)
        with step("Settling"):
            left = _settle(stage, reader, ordered, plan.patience)
        return _judge(stage, ordered, hook, reader, monkey, left)
    finally:
        hook.stop()


def _chaos(stage: Stage, plan: Plan, ordered: list[ordering.Order], monkey: Monkey) -> None:
    began = time.monotonic()
    waiting = list(reversed(ordered))
    while waiting or time.monotonic() - began < plan.seconds:
        stage.tend()
        monkey.swing()
        due = plan.orders - int(plan.orders * (time.monotonic() - began) / plan.seconds)
        # Orders that nobody could take yet wait, as those who give them do.
        if len(waiting) > max(0, due) and ordering.give(waiting[-1]):
            waiting.pop()
        else:
            time.sleep(TICK)


def _settle(stage: Stage, reader: Reader, ordered: list[ordering.Order], patience: float) -> list[str]:
    began = time.monotonic()
    left = ["not looked at yet"]
    last_seen: dict[str, float] = {}
    while left and time.monotonic() < began + patience:
        stage.tend()
        left = [] if stage.is_up() else ["process: not all run again"]
        left += unsettled(stage)
        last_seen.update({line.partition(":")[0]: time.monotonic() - began for line in left})
        time.sleep(0.2)
    say("".join(f"\n  last {what} after {seconds:.0f} s" for what, seconds in last_seen.items()))
    try:
        reader.read()
    except RedisError as error:
        left.append(f"Redis: {type(error).__name__}")
    return left


def _judge(
    stage: Stage, ordered: list[ordering.Order], hook: Hook, reader: Reader, monkey: Monkey, left: list[str]
) -> list[str]:
    faults = [f"not settled: {line}" for line in left]
    # A worker ends when the broker goes in the middle of its reconnecting: Celery's own transport gives up there. What
    # it held is taken over like that of any that was killed. Nothing else may end by itself.
    faults += [death for death in stage.own_deaths if not death.startswith("worker")]
    faults += Verdict(stage, ordered, hook.inbox, reader.inbox).faults()
    say(f"  {len(monkey.deaths)} deaths: {', '.join(monkey.deaths)}")
    for death in stage.own_deaths:
        say(f"  {death}")
    for line in _figures(stage, hook, reader):
        say(f"  {line}")
    return list(dict.fromkeys(faults))


def _figures(stage: Stage, hook: Hook, reader: Reader) -> list[str]:
    """How much the run was disturbed: a quiet one proves nothing."""
    with stage.superuser() as connection:
        jobs, again, leases, died, failed = _row(
            connection, "SELECT count(*), sum(attempts - 1), sum(losses), sum(crashes), sum(failures) FROM jobs_job"
        )
        messages, lost, refused = _row(connection, "SELECT count(*), sum(losses), sum(failures) FROM outbox_message")
        (records,) = _row(connection, "SELECT count(*) FROM audit_record")
    twice = sum(hook.inbox.times.values()) - len(hook.inbox.times)
    return [
        f"{jobs} jobs begun {again} times more: {leases} leases ran out, {died} processes died, {failed} tries failed",
        f"{messages} messages: {lost} lost their worker, {refused} tries failed, {twice} came once more",
        f"{len(reader.inbox.bodies)} entries of streams, {records} records",
    ]


def _row(connection: psycopg.Connection, query: str) -> tuple[int, ...]:
    return connection.execute(query).fetchone() or ()  # type: ignore[arg-type]
