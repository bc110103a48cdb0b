"""What one bench found, as text, as JSON and as a section of docs/benchmarks.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells of text under headings; numbers stand to the right unless `words` names their column."""

    title: str
    headings: Sequence[str]
    cells: Sequence[Sequence[str]]
    note: str = ""
    words: frozenset[int] = frozenset({0})

    def text(self) -> list[str]:
        table = [self.headings, *self.cells]
        widths = [max(len(line[column]) for line in table) for column in range(len(self.headings))]
        return [
            "  ".join(
                cell.ljust(width) if column in self.words else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in table
        ]

    def markdown(self) -> list[str]:
        rule = "|".join("---" if column in self.words else "--:" for column in range(len(self.headings)))
        return [
            "| " + " | ".join(self.headings) + " |",
            f"|{rule}|",
            *("| " + " | ".join(line) + " |" for line in self.cells),
        ]


@dataclass(frozen=True, kw_only=True)
class Section:
    """`verdicts` says which promises hold; `rounds` is everything measured, for --json. `took` in seconds."""

    title: str
    introduction: str
    tables: Sequence[Table]
    verdicts: Mapping[str, str]
    facts: Mapping[str, str]
    took: float
    rounds: Any = field(default_factory=list)

    def text(self) -> str:
        lines = [self.title, ""]
        for table in self.tables:
            lines += [f"{table.title}. {table.note}".strip(), *table.text(), ""]
        lines += [f"{name}: {said}" for name, said in self.verdicts.items()]
        return "\n".join(lines) + "\n"

    def json(self) -> dict[str, Any]:
        return {
            "facts": dict(self.facts),
            "seconds": round(self.took, 1),
            "rows": self.rounds,
            "verdicts": dict(self.verdicts),
        }

    def markdown(self) -> str:
        parts = [f"## {self.title}", "", self.introduction.strip(), ""]
        parts += [f"- {name}: {said}" for name, said in self.verdicts.items()]
        for table in self.tables:
            parts += ["", f"### {table.title}", "", *table.markdown()]
        parts += ["", "### Where it was measured", "", *(f"- {name}: {said}" for name, said in self.facts.items())]
        return "\n".join(parts) + "\n"
