"""What the log's key signs besides checkpoints: a header, and canonical JSON in one line, as a signed note. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from audit.tree import notes
from kaireon.lib.canonical import canonical


class NotAStatement(ValueError):
    """The note is no statement of this form, or none of the log's keys signed it. The message says which."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """`header` keeps such statements apart from everything else that the key signs; `fields` are what each of them has,
    `origin`, the log's name, among them. `name` is what one is called.
    """

    name: str
    header: str
    fields: frozenset[str]

    def text(self, said: Mapping[str, Any]) -> str:
        """What is signed. Raises NotAStatement."""
        if said.keys() != self.fields:
            raise NotAStatement(f"a {self.name} has the fields {', '.join(sorted(self.fields))}")
        return f"{self.header}\n{canonical(dict(said)).decode()}\n"

    def parse(self, note: str, keys: Iterable[notes.PublicKey]) -> dict[str, Any]:
        """What the note says, when one of the keys signed it. Raises NotAStatement."""
        try:
            parsed = notes.Note.parse(note)
            lines = parsed.text.split("\n")
            said = json.loads(lines[1]) if len(lines) == 3 and lines[0] == self.header else None
        except (notes.BadNote, ValueError, RecursionError) as error:
            raise NotAStatement(f"it is not a signed note of a {self.name}") from error
        if not isinstance(said, dict) or said.keys() != self.fields:
            raise NotAStatement(f"it does not have the fields of a {self.name}")
        for key in keys:
            try:
                parsed.check(key)
            except notes.NotSigned:
                continue
            if self.text(said) != parsed.text or key.name != said["origin"]:
                raise NotAStatement("it is not the one text of what it says, or of another log")
            return said
        raise NotAStatement("none of the log's keys signed it")
