"""The offline verifier over a large bundle, on one core: canonical form, chain, leaves, tree, signatures."""

import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from kaireon.local.folder import PROJECT
from tests.bench import biglog
from tests.bench.facts import machine, python
from tests.bench.noise import judged
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section, Table
from tests.bench.servers import Servers, servers
from tests.bench.talker import Talker

TITLE = "What an auditor waits"
TARGET = 60_000  # records a second
RECORDS = 200_000
VERIFIER = PROJECT / "audit" / "offline" / "kaireon_verify.py"
_TENANT = "tenant-01"
_PROOFS = 50
_PEERS_PROOFS = 3


class NotVerified(RuntimeError):
    """The verifier did not say that the whole bundle holds."""


def run(options: Options) -> Section:
    rounds = options.rounds or (3 if options.quick else 15)
    records = RECORDS // 10 if options.quick else RECORDS
    began = time.monotonic()
    with servers() as running:
        bundle = running.folder / "evidence.zip"
        proofs = {"Kaireon, from the database": _make(running, bundle, records, options)}
        running.postgres.stop()
        peer = Talker("tests.bench.offline.peer", environment=os.environ)
        try:
            options.progress("filling auditchain")
            peer.ask({"fill": records})
            heat = _heat(bundle, peer, records)
            with _one_core():
                options.progress("warming up")
                for contender in heat.everybody:
                    contender.measure()
                play([heat], rounds=rounds, progress=options.progress)
            proofs["auditchain, from memory"] = _peers_proof_ms(peer, records)
        finally:
            peer.stop()
        megabytes = bundle.stat().st_size / 2**20
    facts = machine("one process on one of them", cores=1) | python("auditchain")
    took = time.monotonic() - began
    return section(heat, proofs, records=records, megabytes=megabytes, rounds=rounds, facts=facts, took=took)


def _make(running: Servers, bundle: Path, records: int, options: Options) -> float:
    """By the product, from a log in a database; gives the milliseconds that a proof took it."""
    prover = Talker("tests.bench.proof.prover", environment=running.product(settings="kaireon.settings"))
    try:
        prover.ask({"tenants": [_TENANT]})
        biglog.load(running.postgres.url("ours"), {_TENANT: records}, moved=options.progress)
        options.progress("signing checkpoints, writing the bundle")
        prover.ask({"commit": {_TENANT: records}})
        prover.ask({"bundle": _TENANT, "to": str(bundle)})
        numbers = range(1, records, records // _PROOFS)
        order = {"prove": "inclusion", "tenant": _TENANT, "records": records, "numbers": list(numbers)}
        return median(prover.ask(order)["ms"])
    finally:
        prover.stop()


@contextmanager
def _one_core() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _peers_proof_ms(peer: Talker, records: int) -> float:
    """Raises NotVerified."""
    found = [peer.ask({"prove": seq}) for seq in range(0, records, records // _PEERS_PROOFS)]
    if not all(proof["holds"] for proof in found):
        raise NotVerified("a proof of auditchain does not hold.")
    return median(proof["ms"] for proof in found)


def _heat(bundle: Path, peer: Talker, records: int) -> Heat:
    return Heat(
        title="one core",
        floor=Contender(
            name="unzip", title="Unzip and hash, nothing checked", measure=partial(_unzip, bundle, records)
        ),
        others=[
            Contender(name="ours", title="Kaireon, everything checked", measure=partial(_verify, bundle, records)),
            Contender(name="peer", title="auditchain, its chain, from memory", measure=partial(_peer, peer, records)),
        ],
    )


def _unzip(bundle: Path, records: int) -> Turn:
    start = time.process_time()
    digest = hashlib.sha256()
    with zipfile.ZipFile(bundle) as archive, archive.open("records.ndjson") as lines:
        while chunk := lines.read(1 << 20):
            digest.update(chunk)
    return Turn(rate=records / (time.process_time() - start), more={"megabytes": 0.0})


def _verify(bundle: Path, records: int) -> Turn:
    """As an auditor runs it, the start of the interpreter included, which sees nothing that is installed."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(VERIFIER), str(bundle), "--json"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.read() or b"{}")
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    took = used.ru_utime + used.ru_stime
    return verified(said, records, took=took, megabytes=used.ru_maxrss / 1024)


def _peer(peer: Talker, records: int) -> Turn:
    said = peer.ask({"verify": True})
    return verified(said, records, took=said["seconds"], megabytes=0.0)


def verified(said: dict[str, Any], records: int, *, took: float, megabytes: float) -> Turn:
    """Raises NotVerified."""
    if said.get("intact") is not True or said.get("records") != records:
        raise NotVerified(f"intact: {said.get('intact')}, {said.get('records')} of {records} records.")
    return Turn(rate=records / took, more={"megabytes": megabytes})


def section(
    heat: Heat,
    proofs: Mapping[str, float],
    *,
    records: int,
    megabytes: float,
    rounds: int,
    facts: dict[str, str],
    took: float,
) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(
            records=records, megabytes=megabytes, rounds=rounds, minutes=max(1, round(took / 60))
        ),
        tables=[
            Table(
                title="One core",
                headings=["", "records/s", "of floor", "min–max", "memory, MB"],
                cells=[_cells(contender) for contender in heat.everybody],
                note=f"The floor itself varied by ±{heat.noise:.0%}.",
            ),
            Table(
                title="The proof of one record",
                headings=["", "ms"],
                cells=[[name, f"{each:.1f}"] for name, each in proofs.items()],
            ),
        ],
        verdicts=verdicts(heat),
        facts=facts,
        took=took,
        rounds=heat.json(),
    )


def verdicts(heat: Heat) -> dict[str, str]:
    ours = next(contender for contender in heat.others if contender.name == "ours")
    held = judged(ours.rate >= TARGET, heat.noise)
    return {ours.title: f"{ours.rate:,.0f} records/s (at least {TARGET:,}: {held})"}


def _cells(contender: Contender) -> list[str]:
    low, high = contender.ratio_range
    memory = contender.median_of("megabytes")
    return [
        contender.title,
        f"{contender.rate:,.0f}",
        f"{contender.ratio:.2f}",
        f"{low:.2f}–{high:.2f}",
        f"{memory:.0f}" if memory else "",
    ]


_INTRODUCTION = """\
Repeat it with `make bench BENCH=offline`, about {minutes} minutes, or `.venv/bin/python -m tests.bench offline --quick`
for a first look at a tenth of it; `--write` puts it here.

A bundle of {records:,} records ({megabytes:.0f} MB), written by the product from a log in a database, and checked as
an auditor does: `python3 kaireon_verify.py`, nothing installed, the start of the interpreter included. It checks that
every record is in canonical form, its place in the chain, its leaf and the tree over all of them, the checkpoint, every
signature and every file. The *floor* only unzips the records and hashes them in one go. Beside it auditchain verifies
as many records of the same content, which it holds in memory, parsed: the hashes of its chain, and nothing else.
Seconds are those of the processor, which hardly waits for anything here.

Medians of {rounds} rounds, on one core, each right beside the floor.
"""
