"""What a law lets people ask for, in words for them. The articles are the law packs'."""

from dataclasses import dataclass

from dsar.deadlines import law_pack, right_of
from dsar.models import RequestType
from dsar.public import words
from dsar.public.words.language import Wish

# In the order in which people read.
KINDS = (
    RequestType.EXPORT,
    RequestType.PORTABILITY,
    RequestType.DELETE,
    RequestType.RECTIFICATION,
    RequestType.RESTRICTION,
    RequestType.OBJECTION,
    RequestType.OPT_OUT,
    RequestType.GRIEVANCE,
)


@dataclass(frozen=True, kw_only=True)
class Offered:
    kind: str
    words: Wish
    article: str


def offered(regulation: str) -> list[Offered]:
    """What this law gives, in the language that is active."""
    named = law_pack(regulation).rights
    # California's right to object is its right to opt out.
    left_out = {RequestType.OBJECTION} if regulation == "ccpa" else set()
    here, cite = words.here(), words.letters_here().cite
    return [
        Offered(kind=kind, words=here.wish(kind, regulation), article=cite(named[right_of(kind)]))
        for kind in KINDS
        if right_of(kind) in named and kind not in left_out
    ]
