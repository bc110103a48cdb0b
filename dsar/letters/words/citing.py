"""Articles of the GDPR as other languages write them; other laws are cited as they stand."""

import re
from collections.abc import Callable
from dataclasses import dataclass

_EUROPEAN = "GDPR Art. "
_PLACE = re.compile(r"(\d+[A-Z]?)(?:\((\d+)\))?(?:\(([a-z])\))?(?: to (\d+))?")


@dataclass(frozen=True, kw_only=True)
class Place:
    """`17(3)(b)`, or with `last` a range of articles; what is not there is empty."""

    number: str
    paragraph: str
    letter: str
    last: str


def cited(article: str, *, listed: Callable[[list[Place]], str]) -> str:
    """What `listed` makes of an article such as `GDPR Art. 17(3)(b), 21(1)`; any other stands as it is."""
    if not article.startswith(_EUROPEAN):
        return article
    found = [_PLACE.fullmatch(text) for text in article.removeprefix(_EUROPEAN).split(", ")]
    places = [
        Place(number=number, paragraph=paragraph or "", letter=letter or "", last=last or "")
        for number, paragraph, letter, last in (one.groups() for one in found if one)
    ]
    return listed(places) if len(places) == len(found) else article


def joined(places: list[str], *, conjunction: str, law: str) -> str:
    """`a, b et c du RGPD`, with a comma before the last two where the places have commas of their own."""
    comma = "," if any("," in place for place in places) else ""
    *first, last = places
    return f"{', '.join(first)}{f'{comma} {conjunction} ' if first else ''}{last}{comma} {law}"
