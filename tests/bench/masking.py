"""Masks and keyed hashes, on one core. kaireon/lib/masking.py knows no Django, and neither does this."""

import hmac
import os
import time
from collections.abc import Callable, Sequence

from kaireon.lib.masking import KeyedHash, detect, mask
from kaireon.lib.sealing import Keyring
from tests.bench.facts import machine, python
from tests.bench.noise import judged
from tests.bench.options import Options
from tests.bench.rounds import Contender, Heat, Turn, play
from tests.bench.section import Section, Table

TITLE = "What masking costs"
TARGETS = {"mask": 200_000, "hash": 300_000}  # values a second

VALUES = 20_000
_KINDS: tuple[tuple[str, Callable[[int, str], str]], ...] = (
    ("email", lambda n, _: f"subject.{n}@example.com"),
    ("ssn", lambda n, _: f"{100 + n % 800:03d}-{10 + n % 89:02d}-{1000 + n % 9000:04d}"),
    ("date", lambda n, _: f"{1940 + n % 60}-{1 + n % 12:02d}-{1 + n % 28:02d}"),
    ("ip", lambda n, _: f"10.{n % 256}.{n // 7 % 256}.{1 + n % 250}"),
    ("aadhaar", lambda n, check: f"{2000 + n % 7999} {1000 + n * 7 % 9000} {n * 3 % 1000:03d}{check[-1]}"),
    ("card", lambda n, check: f"4111 1111 {1000 + n % 9000} {n * 7 % 1000:03d}{check[-1]}"),
    ("phone", lambda n, _: f"(555) {100 + n % 900}-{1000 + n % 9000}"),
    ("pan", lambda n, _: f"ABCPE{1000 + n % 9000}F"),
    ("iban", lambda n, check: f"GB{check} WEST {1000 + n % 9000} {1000 + n * 3 % 9000} {1000 + n * 7 % 9000} 12"),
    ("text", lambda n, _: f"Rosalind Number {n}"),
)


def sample(count: int) -> list[str]:
    """So many values, the formats of the table MASKS in turn, each with the check digits that make it one."""
    made = []
    for n in range(count):
        name, write = _KINDS[n % len(_KINDS)]
        made.append(next(value for check in range(100) if detect(value := write(n, f"{check:02d}")) == name))
    return made


def run(options: Options) -> Section:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:1])
    began = time.monotonic()
    rounds = options.rounds or (4 if options.quick else 25)
    heat = _heat()
    try:
        play([heat], rounds=rounds, progress=options.progress)
    finally:
        os.sched_setaffinity(0, before)
    return section(heat, rounds=rounds, took=time.monotonic() - began)


def section(heat: Heat, *, rounds: int, took: float) -> Section:
    return Section(
        title=TITLE,
        introduction=_INTRODUCTION.format(values=VALUES, kinds=len(_KINDS), rounds=rounds),
        tables=[
            Table(
                title="One core",
                headings=["", "values/s", "of the bare digest", "min–max"],
                cells=[
                    [c.title, f"{c.rate:,.0f}", f"{c.ratio:.2f}", "{:.2f}–{:.2f}".format(*c.ratio_range)]
                    for c in heat.everybody
                ],
                note=f"The bare digest itself varied by ±{heat.noise:.0%}.",
            )
        ],
        verdicts=verdicts(heat),
        facts=machine("one process on one of them", cores=1) | python(),
        took=took,
        rounds=heat.json(),
    )


def verdicts(heat: Heat) -> dict[str, str]:
    said = {}
    for contender in heat.others:
        target = TARGETS[contender.name]
        held = judged(contender.rate >= target, heat.noise)
        said[contender.title] = f"{contender.rate:,.0f} values/s (at least {target:,}: {held})"
    return said


def _heat() -> Heat:
    values = sample(VALUES)
    key = bytes(range(32))
    keyed = KeyedHash(keyring=Keyring({1: key}), tenant_id="tenant-01", purpose="bench")

    def digest(value: str) -> str:
        return hmac.digest(key, value.encode(), "sha256").hex()

    return Heat(
        title="one core",
        floor=Contender(name="digest", title="A bare HMAC-SHA256 in hex", measure=_timed(digest, values)),
        others=[
            Contender(name="mask", title="Mask by detected format", measure=_timed(mask, values)),
            Contender(name="hash", title="Keyed hash", measure=_timed(keyed, values)),
        ],
    )


def _timed(function: Callable[[str], str], values: Sequence[str]) -> Callable[[], Turn]:
    def measure() -> Turn:
        start = time.perf_counter()
        for value in values:
            function(value)
        return Turn(rate=len(values) / (time.perf_counter() - start))

    return measure


_INTRODUCTION = """\
Repeat it with `make bench BENCH=masking`, less than a minute; `--write` puts it here.

One process on one core, {values:,} values, the {kinds} formats of the masks in turn, from e-mail addresses to plain
text, those with check digits with the right ones. *Mask* finds the format of each and hides it; *keyed hash* is the
pseudonym of a tenant and purpose. Beside them the digest alone, called on the same values: what the machine does.
Medians of {rounds} rounds.
"""
