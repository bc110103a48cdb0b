"""Proofs of logs of a thousand to a million records, from the service and over HTTP."""

import http.client
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench import biglog
from tests.bench.facts import machine, python
from tests.bench.noise import judged
from tests.bench.options import Options
from tests.bench.proof.checks import CHECKS
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section, Table
from tests.bench.servers import Servers, servers
from tests.bench.talker import Talker
from tests.live import Web

TITLE = "What a proof costs"
P99_MS = 20.0
# From the smallest log to the largest the depth of the tree grows so much, and nothing may grow faster.
SIZES = (1_000, 10_000, 100_000, 1_000_000)
WAYS = {"service": "from the service", "http": "over HTTP"}
PROOFS = {"inclusion": "That a record is in the log", "consistency": "That the log only grew"}


class NoProof(RuntimeError):
    """The server answered something else."""


def run(options: Options) -> Section:
    sizes = SIZES[:3] if options.quick else SIZES
    rounds = options.rounds or (3 if options.quick else 15)
    times = int((50 if options.quick else 200) * (options.seconds or 1.0))
    began = time.monotonic()
    with servers(redis=True) as running:
        environment = running.product(settings="kaireon.settings")
        prover = Talker("tests.bench.proof.prover", environment=environment)
        try:
            keys = _load(running, prover, sizes, options)
            with Web(running.folder / "web.log", **environment) as web:
                asker = Asker(prover, web, keys)
                heats = [asker.heat(way, proof, sizes, times) for way in WAYS for proof in PROOFS]
                for heat in heats:
                    options.progress(f"warming up: {heat.title}")
                    for contender in heat.everybody:
                        contender.measure()
                play(heats, rounds=rounds, progress=options.progress)
            facts = running.facts()
        finally:
            prover.stop()
    facts = machine("PostgreSQL, server and asker share the cores") | facts | python("django", "psycopg")
    return section(heats, times=times, rounds=rounds, facts=facts, took=time.monotonic() - began)


def _load(running: Servers, prover: Talker, sizes: tuple[int, ...], options: Options) -> dict[str, str]:
    """Each log is of a tenant of its own. Gives their API keys."""
    wanted = {_tenant(size): size for size in sizes}
    prover.ask({"tenants": list(wanted)})
    biglog.load(running.postgres.url("ours"), wanted, moved=options.progress)
    options.progress("signing checkpoints")
    return dict(prover.ask({"commit": wanted}))


def _tenant(size: int) -> str:
    return f"tenant-{size}"


@dataclass(frozen=True)
class Asker:
    """Asks for proofs of random places, and checks each off the clock."""

    prover: Talker
    web: Web
    keys: Mapping[str, str]

    def heat(self, way: str, proof: str, sizes: tuple[int, ...], times: int) -> Heat:
        def contender(size: int) -> Contender:
            chosen = random.Random(size)

            def measure() -> Turn:
                numbers = [chosen.randint(1, size) for _ in range(times)]
                ask = self._over_http if way == "http" else self._from_service
                return turn(ask(proof, size, numbers))

            return Contender(name=f"{way}-{proof}-{size}", title=f"{size:,} records", measure=measure)

        floor, *others = map(contender, sizes)
        return Heat(title=f"{PROOFS[proof]}, {WAYS[way]}", floor=floor, others=others)

    def _from_service(self, proof: str, size: int, numbers: list[int]) -> list[float]:
        order = {"prove": proof, "tenant": _tenant(size), "records": size, "numbers": numbers}
        return list(self.prover.ask(order)["ms"])

    def _over_http(self, proof: str, size: int, numbers: list[int]) -> list[float]:
        took = []
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=60)
        headers = {"X-API-Key": self.keys[_tenant(size)]}
        for number in numbers:
            start = time.perf_counter()
            connection.request("GET", _path(proof, size, number), headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            took.append((time.perf_counter() - start) * 1000)
            if answer.status != http.client.OK:
                raise NoProof(f"{answer.status}: {body[:200]!r}")
            CHECKS[proof](json.loads(body))
        connection.close()
        return took


def _path(proof: str, size: int, number: int) -> str:
    if proof == "inclusion":
        return f"/api/v1/audit-logs/{biglog.record_id(_tenant(size), number)}/proof?size={size}"
    return f"/api/v1/audit-logs/consistency?first={number}&second={size}"


def turn(took: list[float]) -> Turn:
    ordered = sorted(took)
    p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    return Turn(rate=1000 / p50, more={"p50_ms": p50, "p99_ms": p99})


def section(heats: list[Heat], *, times: int, rounds: int, facts: dict[str, str], took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(times=times, rounds=rounds, minutes=max(1, round(took / 60))),
        tables=[
            Table(
                title=heat.title,
                headings=["", "p50 ms", "p99 ms", "p50 beside that of the smallest log"],
                cells=[
                    [c.title, f"{c.median_of('p50_ms'):.2f}", f"{c.median_of('p99_ms'):.2f}", f"{1 / c.ratio:.2f}"]
                    for c in heat.everybody
                ],
                note=f"The floor itself varied by ±{heat.noise:.0%}.",
            )
            for heat in heats
        ],
        verdicts=verdicts(heats),
        facts=facts,
        took=took,
        rounds=[row for heat in heats for row in heat.json()],
    )


def verdicts(heats: list[Heat]) -> dict[str, str]:
    said = {}
    for heat in heats:
        largest = heat.others[-1]
        p99 = largest.median_of("p99_ms")
        growth, deeper = 1 / largest.ratio, _deeper(heat)
        said[f"{heat.title}, {largest.title}"] = (
            f"p99 {p99:.1f} ms (under {P99_MS:.0f}: {judged(p99 < P99_MS, heat.noise)}); {growth:.2f} times as long as"
            f" in the smallest log, whose tree is {deeper:.2f} times less deep"
            f" (at most that: {judged(growth <= deeper, heat.noise)})"
        )
    return said


def _deeper(heat: Heat) -> float:
    sizes = [int(contender.name.rpartition("-")[2]) for contender in heat.everybody]
    return (sizes[-1] - 1).bit_length() / (sizes[0] - 1).bit_length()


_INTRODUCTION = """\
Repeat it with `make bench BENCH=proof`, about {minutes} minutes, or `.venv/bin/python -m tests.bench proof --quick` for
a first look, without the largest log; `--write` puts it here.

Logs of a thousand records to a million, each of a tenant of its own in one database, under signed checkpoints. Proofs
of records and earlier sizes at random, all of them checked, off the clock. *From the service* is one transaction of the
tenant's; *over HTTP* is a request with an API key to the server of `make run`, which records that it was asked. The
*floor* is the smallest log: a tree of a million leaves is twice as deep as one of a thousand.

{times:,} proofs a turn; each p50 and p99 is that of a turn, the median of {rounds} rounds.
"""
