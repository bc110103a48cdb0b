"""Whether a text or a JSON value names a person: by an address, a number, a phone, whatever is theirs alone. Pure.

An address or a mark counts wherever it stands by itself: `C-17` is in `/customers/C-17/orders`, and neither in `C-170`
nor in `AC-17`. A number of digits alone, or a short one, may be anything: it counts as the whole value of a field that
says whose number it is. A person's name is not looked for: others have it too.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any
from uuid import UUID

# Fields, without case and separators, whose value is a person's number.
_NUMBER_FIELDS = frozenset(
    ("customer", "customerid", "customernumber", "customerno", "subject", "subjectid", "userid", "contactid")
)
_SEPARATORS = re.compile(r"[\W_]+")
_SHORTEST_MARK = 4
_FEWEST_DIGITS = 7


@dataclass(frozen=True, kw_only=True)
class Names:
    """What is one person's alone. `addresses`: e-mail; `marks`: accounts and devices; `refs`: our own ids of them."""

    addresses: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    marks: frozenset[str] = frozenset()
    refs: frozenset[str] = frozenset()

    def __or__(self, other: "Names") -> "Names":
        return Names(**{f.name: getattr(self, f.name) | getattr(other, f.name) for f in fields(self)})

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) for f in fields(self))

    def text(self) -> str:
        """As JSON; seal it."""
        return json.dumps({f.name: sorted(getattr(self, f.name)) for f in fields(self)})

    @classmethod
    def read(cls, text: str) -> "Names":
        return cls(**{name: frozenset(values) for name, values in json.loads(text).items()})

    def said_in(self, value: Any) -> bool:
        """Whether a JSON value, its keys included, says one of them."""
        waiting: list[tuple[str, Any]] = [("", value)]
        while waiting:
            key, item = waiting.pop()
            if isinstance(item, Mapping):
                waiting += item.items()
                waiting += (("", name) for name in item)
            elif isinstance(item, list | tuple):
                waiting += ((key, each) for each in item)
            elif isinstance(item, str):
                if self._in_text(item) or self._is_number(key, item):
                    return True
            elif isinstance(item, int) and not isinstance(item, bool) and self._is_number(key, str(item)):
                return True
        return False

    def _is_number(self, key: str, text: str) -> bool:
        return _SEPARATORS.sub("", key).lower() in _NUMBER_FIELDS and _normal(text) in self._numbers

    def _in_text(self, text: str) -> bool:
        return self._pattern is not None and self._pattern.search(_normal(text)) is not None

    @cached_property
    def _numbers(self) -> frozenset[str]:
        return frozenset(_normal(number) for number in self.numbers)

    @cached_property
    def _pattern(self) -> "re.Pattern[str] | None":
        words = {_normal(word) for address in self.addresses for word in _spellings(address)}
        words |= {_normal(word) for word in (*self.numbers, *self.marks) if _is_mark(word)}
        words |= {ref.lower() for ref in self.refs}
        ways = [rf"(?<![\w.+\-])(?:{'|'.join(map(re.escape, sorted(words)))})(?![\w\-]|[.@+]\w)"] if words else []
        ways += [rf"(?<!\d){pattern}(?!\d)" for pattern in sorted(_dialled(self.phones))]
        return re.compile("|".join(ways)) if ways else None


def of(
    *,
    addresses: Iterable[str] = (),
    numbers: Iterable[str] = (),
    phones: Iterable[str] = (),
    marks: Iterable[str] = (),
    refs: Iterable[UUID] = (),
) -> Names:
    """Names of these; empty ones are none."""
    given = {"addresses": addresses, "numbers": numbers, "phones": phones, "marks": marks}
    said = {kind: frozenset(word for word in words if word.strip()) for kind, words in given.items()}
    return Names(**said, refs=frozenset(str(ref) for ref in refs))


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip()).lower()


def _is_mark(word: str) -> bool:
    """Whether it can hardly be anything else: long enough, and not of digits alone."""
    return len(word) >= _SHORTEST_MARK and any(c.isalpha() for c in word) and any(not c.isalpha() for c in word)


def _spellings(address: str) -> Iterator[str]:
    """An address, its domain in Unicode and in ASCII, and as it stands in links."""
    local, _, domain = address.rpartition("@")
    for spelled in {domain, _coded(domain, "idna"), _decoded(domain)}:
        yield f"{local}@{spelled}"
        yield f"{local}%40{spelled}"


def _coded(domain: str, codec: str) -> str:
    try:
        return domain.encode(codec).decode("ascii")
    except UnicodeError:
        # No domain that has another spelling.
        return domain


def _decoded(domain: str) -> str:
    try:
        return domain.encode("ascii").decode("idna")
    except UnicodeError:
        return domain


def _dialled(phones: Iterable[str]) -> Iterator[str]:
    """However the digits are set apart."""
    for phone in phones:
        digits = re.sub(r"\D", "", phone)
        if len(digits) >= _FEWEST_DIGITS:
            yield r"[\s().\-/]*".join(digits)
