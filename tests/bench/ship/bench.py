"""Shipping a whole log to a SIEM, beside a raw COPY of the same rows in bare posts."""

import time
from collections.abc import Callable

from tests.bench import biglog, footprint
from tests.bench.facts import machine, python
from tests.bench.noise import judged
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section
from tests.bench.servers import Servers, servers
from tests.bench.talker import Talker

TITLE = "What shipping the log costs"
RECORDS = 200_000
QUICK_RECORDS = 20_000
TENANT = "tenant-01"
# Of the rate of the raw COPY in bare posts.
TARGET = 0.7
# Not the product, but a second thing to compare it with.
AS_TAKEN = "as taken"
# What is not promised: how it goes where somebody in between takes no gzip.
PLAIN = "Kaireon to Splunk, gzip off"


class NotAllArrived(RuntimeError):
    """The receiver did not get every record."""


def run(options: Options) -> Section:
    records = QUICK_RECORDS if options.quick else RECORDS
    rounds = options.rounds or (3 if options.quick else 7)
    began = time.monotonic()
    with servers(settings={"shared_buffers": "2GB"}) as running:
        environment = running.product(settings="kaireon.settings")
        _load(running, environment, records, options)
        receiver = Talker("tests.bench.ship.receiver", environment=environment)
        shipper = Talker("tests.bench.ship.shipper", TENANT, environment=environment)
        try:
            shipper.ask({"to": receiver.ask({"port": True})["port"]})
            heats = Match(shipper, receiver, records).heats()
            for made in heats:
                for contender in made.everybody:
                    contender.measure()
            play(heats, rounds=rounds, progress=options.progress)
            facts = running.facts()
        finally:
            shipper.stop()
            receiver.stop()
    facts = (
        machine("PostgreSQL, shipper and receiver share the cores") | facts | python("httpcore", "django", "psycopg")
    )
    return section(heats, records=records, rounds=rounds, facts=facts, took=time.monotonic() - began)


def _load(running: Servers, environment: dict[str, str], records: int, options: Options) -> None:
    prover = Talker("tests.bench.proof.prover", environment=environment)
    try:
        prover.ask({"tenants": [TENANT]})
        biglog.load(running.postgres.url("ours"), {TENANT: records}, moved=options.progress)
    finally:
        prover.stop()


class Match:
    """Asks the shipper to ship, and the receiver what came."""

    def __init__(self, shipper: Talker, receiver: Talker, records: int) -> None:
        self._shipper = shipper
        self._receiver = receiver
        self._records = records

    def heats(self) -> list[Heat]:
        as_taken = Contender(
            name=AS_TAKEN,
            title="COPY of the least that Splunk takes, bare posts",
            measure=self._turn({"bare": "splunk", "packed": False, "as_taken": True}, "lines"),
        )
        return [
            self._heat(
                "gzip, one answer for a post",
                self._ours("Kaireon to Datadog", "datadog", packed=True),
                self._ours("Kaireon to Splunk", "splunk", packed=True),
                bare="datadog",
                packed=True,
            ),
            self._heat(
                "gzip, an answer for each item",
                self._ours("Kaireon to Elasticsearch", "elastic", packed=True),
                bare="elastic",
                packed=True,
            ),
            self._heat("plain", as_taken, self._ours(PLAIN, "splunk", packed=False), bare="splunk", packed=False),
        ]

    def _heat(self, title: str, *others: Contender, bare: str, packed: bool) -> Heat:
        measure = self._turn({"bare": bare, "packed": packed}, "lines")
        floor = Contender(name="bare", title="Raw COPY, bare posts", measure=measure)
        return Heat(title=title, floor=floor, others=[*others])

    def _ours(self, title: str, backend: str, *, packed: bool) -> Contender:
        order = {"ship": backend, "packed": packed}
        return Contender(name=backend, title=title, measure=self._turn(order, "records"))

    def _turn(self, order: dict[str, object], counted: str) -> Callable[[], Turn]:
        measure = footprint.asking(self._shipper, order)

        def turn() -> Turn:
            found = measure()
            got = self._receiver.ask({"got": True})
            # Making the log's key is a record too, once.
            if not self._records <= got[counted] <= self._records + 10:
                raise NotAllArrived(f"{got[counted]} of {self._records} came.")
            return found

        return turn


def section(heats: list[Heat], *, records: int, rounds: int, facts: dict[str, str], took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(records=records, rounds=rounds, minutes=max(1, round(took / 60))),
        tables=[
            footprint.table(
                made,
                title=f"{records:,} records, {made.title}",
                of="of the floor",
                note=f"The floor itself varied by ±{made.noise:.0%}.",
            )
            for made in heats
        ],
        verdicts=verdicts(heats),
        facts=facts,
        took=took,
        rounds=[row for made in heats for row in made.json()],
    )


def verdicts(heats: list[Heat]) -> dict[str, str]:
    said, ours = {}, []
    for made in heats:
        as_taken = next((other for other in made.others if other.name == AS_TAKEN), None)
        for other in made.others:
            if other is as_taken:
                continue
            ours.append(other)
            rate = f"{other.ratio:.2f} of the rate of the raw COPY in bare posts"
            if as_taken is None:
                said[other.title] = f"{rate} (at least {TARGET}: {judged(other.ratio >= TARGET, made.noise)})"
            else:
                said[other.title] = f"{rate}, {other.ratio / as_taken.ratio:.2f} of that of the least that it takes"
    said["Memory"] = footprint.verdict(ours, of="a whole log")
    return said


_INTRODUCTION = """\
Repeat it with `make bench BENCH=ship`, about {minutes} minutes; `.venv/bin/python -m tests.bench ship --quick` is a
look at a tenth of the log; `--write` puts it here.

A log of {records:,} records, whole in PostgreSQL's memory, to a receiver on loopback, a process of its own that reads
each post and says that all is well. The *floor* is `COPY (SELECT …) TO STDOUT` of the same columns, as they are stored,
in the order of `seq`, 500 rows in a post over a connection that stays open, gzip at level 1 by Python's own library
where *Kaireon* sends gzip, and nothing kept. *Kaireon* ships as `siem-ship` does: JSON events with ids and hashes in
the vendor's format, twice the bytes of the floor's rows, packed by ISA-L unless gzip is off, 500 at a time and in
order, read ahead over two more connections; for up to 32 batches that were confirmed one commit with the moved cursor
and a signed receipt, which is shipped too. To Elasticsearch, whose answer says of each item what became of it, the
receiver unpacks each post and answers for each, the floor's rows too. The receiver counted the records. Splunk's
acknowledgement is off: waiting for an indexer is not ours to measure. Client, receiver and server have two cores
together.

With gzip off, for who has a proxy in between that takes none, nothing is promised: there the floor posts rows as they
are stored, which Splunk's event endpoint would refuse. Beside it stands a COPY of the least that it takes, `{{"time":
…, "event": …}}` around `row_to_json` of the same columns, in the same posts.

Medians of {rounds} rounds, in each of which everybody stands right beside a turn of the floor.
"""
