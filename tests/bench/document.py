"""docs/benchmarks.md: a section for each bench, which only that bench writes."""

import re
from collections.abc import Sequence
from itertools import pairwise

from kaireon.local.folder import PROJECT
from tests.bench.section import Section

DOCUMENT = PROJECT / "docs" / "benchmarks.md"

_HEADING = re.compile(r"^## ", re.MULTILINE)

_TOP = """\
# Benchmarks

Written by `make bench`, a section by each bench; `make bench BENCH="jobs --write"` measures one anew and writes its
section alone, `BENCH="--quick"` is a first look at all of them, `--json` gives every round. Nothing needs to be
running: a bench starts the servers it needs, with the durable settings of `make run`, keeps to two cores, and removes
everything afterwards.

Rates depend on the machine and on what else it does; ratios travel better. So whatever can be is compared with a
*floor*, measured right before or after it in the same run, in changing order. Where the floor itself varied by more
than ±10 % (half the distance of its quartiles), a run settles nothing: repeat it on a machine that does nothing else.

"""


def with_section(document: str, section: Section, *, order: Sequence[str]) -> str:
    """The document with this section in the place of its earlier self; all others stay as they are, to the letter.

    `order` names the sections in theirs.
    """
    sections = _sections(document)
    sections[section.title] = section.markdown()
    known = [title for title in order if title in sections]
    others = [title for title in sections if title not in order]
    return _TOP + "\n".join(sections[title].rstrip() + "\n" for title in (*known, *others))


def write(section: Section, *, order: Sequence[str]) -> None:
    before = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    DOCUMENT.write_text(with_section(before, section, order=order))


def _sections(document: str) -> dict[str, str]:
    starts = [match.start() for match in _HEADING.finditer(document)]
    parts = (document[start:end] for start, end in pairwise([*starts, len(document)]))
    return {part.partition("\n")[0].removeprefix("## "): part for part in parts}
