"""What a law lets people ask for, in words for them. The articles are the law packs'."""

from dataclasses import dataclass

from dsar.deadlines import law_pack, right_of
from dsar.models import RequestType


@dataclass(frozen=True, kw_only=True)
class Words:
    """`details` asks for what such a request needs in the person's own words, where it needs any."""

    title: str
    says: str
    details: str = ""


@dataclass(frozen=True, kw_only=True)
class Offered:
    kind: str
    words: Words
    article: str


WORDS: dict[str, Words] = {
    RequestType.EXPORT: Words(title="See my data", says="A copy of what is held about you, and what it is used for."),
    RequestType.PORTABILITY: Words(
        title="Take my data along", says="What you provided, in a form that other services can read."
    ),
    RequestType.DELETE: Words(
        title="Erase my data",
        says="What no law demands to be kept is erased, for good. You are told what stays and why.",
    ),
    RequestType.RECTIFICATION: Words(
        title="Correct my data",
        says="What is wrong or incomplete is put right.",
        details="What is wrong, and what it should say",
    ),
    RequestType.RESTRICTION: Words(
        title="Restrict the use of my data",
        says="It is kept, and not used, while something is being settled.",
        details="What shall not be used, and why",
    ),
    RequestType.OBJECTION: Words(
        title="Object to the use of my data",
        says="A use that you do not want ends, unless there are stronger grounds for it.",
        details="Which use you object to, and why",
    ),
    RequestType.OPT_OUT: Words(
        title="No more contact", says="Nobody writes to you any more, and what you had agreed to is withdrawn."
    ),
    RequestType.GRIEVANCE: Words(
        title="Complain", says="Somebody looks at how you were treated and answers you.", details="What happened"
    ),
}
# Where the law means another thing by it.
_IN_LAW: dict[tuple[str, str], Words] = {
    ("ccpa", RequestType.RESTRICTION): Words(
        title="Limit the use of my sensitive data",
        says="It is used for what you asked for, and for nothing else.",
        details="What shall be limited",
    ),
    ("ccpa", RequestType.OPT_OUT): Words(
        title="Do not sell or share my data", says="It is neither sold nor shared, and nobody writes to you any more."
    ),
}


def offered(regulation: str) -> list[Offered]:
    """What this law gives, in the order in which people read."""
    named = law_pack(regulation).rights
    # California's right to object is its right to opt out.
    left_out = {RequestType.OBJECTION} if regulation == "ccpa" else set()
    return [
        Offered(kind=kind, words=words_of(kind, regulation), article=named[right_of(kind)])
        for kind in WORDS
        if right_of(kind) in named and kind not in left_out
    ]


def words_of(kind: str, regulation: str) -> Words:
    return _IN_LAW.get((regulation, kind), WORDS[kind])
