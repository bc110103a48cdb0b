"""How much memory a contender holds, beside its rate: of benches whose promise is both."""

from collections.abc import Callable, Iterable, Mapping

from tests.bench.rounds import Contender, Heat, Turn
from tests.bench.section import Table
from tests.bench.talker import Talker

MOST_MIB = 100.0


def asking(talker: Talker, order: Mapping[str, object], *more: str) -> Callable[[], Turn]:
    """A turn of whoever answers with `records` and `seconds`, `mib` and `grown`, and the parts named in `more`."""

    def measure() -> Turn:
        found = talker.ask(order)
        return Turn(
            rate=found["records"] / found["seconds"],
            more={part: float(found[part]) for part in ("mib", "grown", *more)},
        )

    return measure


def table(
    made: Heat, *, title: str, of: str, note: str, more: Mapping[str, Callable[[Contender], str]] | None = None
) -> Table:
    """Everybody's rate, beside that of the floor, and their memory; between the two, columns of their own."""
    columns = more or {}
    return Table(
        title=title,
        headings=["", "records/s", of, "min–max", *columns, "memory", "of it for the log"],
        cells=[
            [
                c.title,
                f"{c.rate:,.0f}",
                f"{c.ratio:.2f}",
                "{:.2f}–{:.2f}".format(*c.ratio_range),
                *(said(c) for said in columns.values()),
                f"{c.median_of('mib'):.0f} MiB",
                f"{c.median_of('grown'):.0f} MiB",
            ]
            for c in made.everybody
        ],
        note=note,
    )


def verdict(contenders: Iterable[Contender], *, of: str) -> str:
    """Memory does not depend on what else the machine does: this is settled anywhere."""
    most = max(contender.median_of("grown") for contender in contenders)
    return f"{most:.0f} MiB for {of} (under {MOST_MIB:.0f}: {'holds' if most < MOST_MIB else 'missed'})"
