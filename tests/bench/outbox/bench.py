"""Deliveries a second: durable rows to signed webhooks, and a bare HTTP client that signs as much and keeps nothing."""

import time
from functools import partial

from tests.bench.facts import machine, python
from tests.bench.noise import judged
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section, Table
from tests.bench.servers import servers
from tests.bench.talker import Talker

TITLE = "What a delivery costs"
TARGET = 0.6  # of the bare client's posts a second
KEYS = 50
_TENANT = "tenant-01"
_WARM_UP = 100


class NotDeliveredOnce(RuntimeError):
    """The receiver did not get each message exactly once."""


def run(options: Options) -> Section:
    rounds = options.rounds or (3 if options.quick else 25)
    messages = int(1000 * (options.seconds or (0.4 if options.quick else 1.0)))
    began = time.monotonic()
    with servers(redis=True) as running:
        environment = running.product(settings="tests.bench.outbox.settings")
        receiver = Talker("tests.bench.outbox.receiver", environment=environment)
        sender = Talker("tests.bench.outbox.sender", environment=environment)
        try:
            url = f"http://127.0.0.1:{receiver.ask({'port': True})['port']}/hook"
            sender.ask({"prepare": _TENANT, "url": url})
            match = Match(sender, receiver)
            heat = match.heat(messages)
            for contender in match.heat(_WARM_UP).everybody:
                options.progress(f"warming up: {contender.title}")
                contender.measure()
            play([heat], rounds=rounds, progress=options.progress)
            facts = running.facts()
        finally:
            sender.stop()
            receiver.stop()
    facts = (
        machine("PostgreSQL, Redis, sender and receiver share the cores")
        | facts
        | python("httpcore", "h11", "redis", "django", "psycopg")
    )
    return section(heat, messages=messages, rounds=rounds, facts=facts, took=time.monotonic() - began)


class Match:
    """Asks the sender to send, and the receiver what came."""

    def __init__(self, sender: Talker, receiver: Talker) -> None:
        self._sender = sender
        self._receiver = receiver

    def heat(self, messages: int) -> Heat:
        return Heat(
            title="one worker",
            floor=Contender(name="bare", title="A bare HTTP client", measure=partial(self._bare, messages)),
            others=[
                Contender(name="ours", title="Kaireon, in any order", measure=partial(self._ours, messages, 0)),
                Contender(
                    name="keyed",
                    title=f"Kaireon, in the order of each of {KEYS} keys",
                    measure=partial(self._ours, messages, KEYS),
                ),
            ],
        )

    def _bare(self, messages: int) -> Turn:
        return self._sent(messages, self._sender.ask({"bare": messages}))

    def _ours(self, messages: int, keys: int) -> Turn:
        self._sender.ask({"publish": messages, "keys": keys})
        return self._sent(messages, self._sender.ask({"deliver": messages}))

    def _sent(self, messages: int, said: dict[str, float]) -> Turn:
        got = self._receiver.ask({"got": True})
        if (said["sent"], got["posts"], got["ids"]) != (messages, messages, messages):
            raise NotDeliveredOnce(f"{said['sent']} of {messages} were sent, {got['posts']} came: {got['ids']} ids.")
        return Turn(rate=messages / said["seconds"], more={"ms": said["seconds"] / messages * 1000})


def section(heat: Heat, *, messages: int, rounds: int, facts: dict[str, str], took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(messages=messages, rounds=rounds, minutes=max(1, round(took / 60))),
        tables=[
            Table(
                title="One worker",
                headings=["", "deliveries/s", "of floor", "min–max", "ms each"],
                cells=[_cells(contender) for contender in heat.everybody],
                note=f"The floor itself varied by ±{heat.noise:.0%}.",
            )
        ],
        verdicts=verdicts(heat),
        facts=facts,
        took=took,
        rounds=heat.json(),
    )


def verdicts(heat: Heat) -> dict[str, str]:
    return {
        contender.title: f"{contender.ratio:.2f} of the floor"
        f" (at least {TARGET}: {judged(contender.ratio >= TARGET, heat.noise)})"
        for contender in heat.others
    }


def _cells(contender: Contender) -> list[str]:
    low, high = contender.ratio_range
    return [
        contender.title,
        f"{contender.rate:,.0f}",
        f"{contender.ratio:.2f}",
        f"{low:.2f}–{high:.2f}",
        f"{contender.median_of('ms'):.2f}",
    ]


_INTRODUCTION = """\
Repeat it with `make bench BENCH=outbox`, about {minutes} minutes, or `.venv/bin/python -m tests.bench outbox --quick`
for a first look; `--write` puts it here.

The *floor* is an HTTP client that posts messages from its memory one after the other over a connection that stays
open, each with an id, a body and a signature of its own, to a receiver on loopback, a process of its own that reads
each post and answers 204. That client is httpcore. Ours is the product's delivery, with a client of its own on the same
parser, h11, and up to three posts under way: rows claimed under a lease, payloads opened, canonical bodies signed,
every message marked as delivered; the switch that lets it deliver to loopback is on, breakers are off as they are by
default. In the order of a key, a message is not taken before the one ahead of it is delivered and marked. The receiver
has counted the ids: each message came exactly once.

{messages:,} messages a turn, written down before the clock starts. Medians of {rounds} rounds, everybody right beside
the floor in each.
"""
