"""The form of what the page says in one language."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What somebody can ask for. `details` asks for what such a request needs in the person's own words, if any."""

    title: str
    says: str
    details: str = ""


@dataclass(frozen=True, kw_only=True)
class PageWords:
    """`texts` by their keys take what stands in braces; so do `rules`, by the clock's rules.

    `wishes` is by kind of request, `in_law` by law and kind where the law means another thing by it, `states` and
    `outcomes` by those of requests, `awaited` by ground of a pause. Where `rules` says nothing, the clock does.
    """

    tag: str
    texts: Mapping[str, str]
    wishes: Mapping[str, Wish]
    in_law: Mapping[tuple[str, str], Wish]
    states: Mapping[str, str]
    outcomes: Mapping[str, str]
    awaited: Mapping[str, str]
    rules: Mapping[str, str]

    def say(self, key: str, **values: object) -> str:
        """Plain text. Raises KeyError for what is no text of the page, and for a value that is missing."""
        return self.texts[key].format(**values)

    def wish(self, kind: str, regulation: str) -> Wish:
        return self.in_law.get((regulation, kind), self.wishes[kind])
