"""What each law says about the time of an answer, as data with the article of every statement. Pure.

A pack has a version: the date of the latest change of the law that was taken in. A right that a pack does not name
by itself has the pack's general terms. This is arithmetic over what stands there, not legal advice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dsar.periods import Period


class Right(StrEnum):
    """What a subject may ask for."""

    ACCESS = "access"
    PORTABILITY = "portability"
    ERASURE = "erasure"
    RECTIFICATION = "rectification"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    OPT_OUT = "opt_out"
    GRIEVANCE = "grievance"


# What the API calls two of them.
OTHER_NAMES = {"export": Right.ACCESS, "delete": Right.ERASURE}


class Ground(StrEnum):
    """What a controller may be waiting for."""

    IDENTITY = "identity"
    FEE = "fee"
    CLARIFICATION = "clarification"


AWAITED: dict[Ground, str] = {
    Ground.IDENTITY: "information that confirms who asks",
    Ground.FEE: "a fee that was charged",
    Ground.CLARIFICATION: "which information or processing is meant",
}


class Effect(StrEnum):
    """What a pause does to the period."""

    RESTARTS = "restarts"  # the period begins with the day on which what was asked for came
    # Days that do not count: from the one after the asking to the one of the answer, or with the day of asking too.
    SUSPENDS = "suspends"
    SUSPENDS_FROM_ASKING = "suspends_from_asking"


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """How long an answer may take. Without `in_all` there is no extension."""

    respond: Period
    respond_article: str
    in_all: Period | None  # from receipt, the one extension included
    extend_article: str
    extend_demands: str = ""
    acknowledge: Period | None = None
    acknowledge_article: str = ""
    acknowledge_counting: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PauseRule:
    """When the clock may stand, for which rights, and what that does."""

    article: str
    effect: Effect
    rights: frozenset[Right]


@dataclass(frozen=True, kw_only=True, slots=True)
class LawPack:
    """What one regulation says about time, each statement with the article it stands in."""

    regulation: str
    title: str
    version: str
    general: Terms
    rights: Mapping[Right, str]  # where each of them stands
    counting_article: str
    counting: str
    rolling_article: str
    no_pause_article: str
    no_pause: str
    special: Mapping[Right, Terms] = field(default_factory=dict)
    pauses: Mapping[Ground, PauseRule] = field(default_factory=dict)

    def terms(self, right: Right) -> Terms:
        return self.special.get(right, self.general)

    def pause_rule(self, ground: Ground, right: Right) -> PauseRule | None:
        """None where the law knows no such pause."""
        rule = self.pauses.get(ground)
        return rule if rule is not None and right in rule.rights else None


class UnknownRegulation(ValueError):
    """No law pack has this name. The message lists those there are."""


class UnknownRight(ValueError):
    """No right has this name. The message lists those there are."""


_SAME_DATE = (
    "The day of receipt is not counted; the period ends on the same date of the last month, or on its last day when "
    "there is no such date."
)
_TOLD_IN_TIME = "complexity or number of the requests, told to the subject with reasons within the first month"
_EUROPEAN: dict[Right, str] = {
    Right.ACCESS: "Art. 15",
    Right.PORTABILITY: "Art. 20",
    Right.ERASURE: "Art. 17",
    Right.RECTIFICATION: "Art. 16",
    Right.RESTRICTION: "Art. 18",
    Right.OBJECTION: "Art. 21",
    Right.OPT_OUT: "Art. 7(3), 21(2)",
}
_UNDER_ARTICLE_12 = frozenset(_EUROPEAN)
_ACCESS_ALONE = frozenset({Right.ACCESS})
_EDPB_TIMING = "EDPB Guidelines 01/2022 (version 2.1) section 5.3"
_COMPLAINT_CONFIRMED = "Data Protection Act 2018 s. 164A(3); ICO, How to deal with data protection complaints"

_CCPA_DUE = "Cal. Civ. Code § 1798.130(a)(2)(A); 11 CCR § 7021(b)"
_CCPA_OPT_OUT = Terms(
    respond=Period(business_days=15), respond_article="11 CCR § 7026(f)", in_all=None, extend_article="11 CCR § 7026(f)"
)

LAWS: dict[str, LawPack] = {
    "gdpr": LawPack(
        regulation="gdpr",
        title="General Data Protection Regulation (EU) 2016/679",
        version="2018-05-25",
        general=Terms(
            respond=Period(months=1),
            respond_article="GDPR Art. 12(3)",
            in_all=Period(months=3),
            extend_article="GDPR Art. 12(3)",
            extend_demands=_TOLD_IN_TIME,
        ),
        rights={right: f"GDPR {article}" for right, article in _EUROPEAN.items()},
        counting_article="Reg. (EEC, Euratom) 1182/71 Art. 3(1), 3(2)(c)",
        counting=_SAME_DATE,
        rolling_article="Reg. (EEC, Euratom) 1182/71 Art. 3(4)",
        pauses={
            Ground.IDENTITY: PauseRule(
                article=f"GDPR Art. 12(6); {_EDPB_TIMING}", effect=Effect.SUSPENDS, rights=_UNDER_ARTICLE_12
            ),
            Ground.CLARIFICATION: PauseRule(
                article=f"GDPR Recital 63; {_EDPB_TIMING}", effect=Effect.SUSPENDS, rights=_ACCESS_ALONE
            ),
        },
        no_pause_article="GDPR Art. 12(3)",
        no_pause="The month runs from receipt of the request, and nothing in the law stops it for this.",
    ),
    "uk_gdpr": LawPack(
        regulation="uk_gdpr",
        title="UK GDPR",
        version="2026-06-19",
        general=Terms(
            respond=Period(months=1),
            respond_article="UK GDPR Art. 12(3), 12A(1)",
            in_all=Period(months=3),
            extend_article="UK GDPR Art. 12A(3), 12A(4)",
            extend_demands=_TOLD_IN_TIME,
        ),
        rights={right: f"UK GDPR {article}" for right, article in _EUROPEAN.items()}
        | {Right.GRIEVANCE: "Data Protection Act 2018 s. 164A"},
        special={
            Right.GRIEVANCE: Terms(
                respond=Period(months=1),
                respond_article="Data Protection Act 2018 s. 164A(4) (without undue delay; a month is our default)",
                in_all=None,
                extend_article="Data Protection Act 2018 s. 164A(4)",
                acknowledge=Period(days=30),
                # "Beginning when the complaint is received": the ICO counts from the day after, as for requests.
                acknowledge_article=_COMPLAINT_CONFIRMED,
                acknowledge_counting="The 30 days start the day after the complaint was received.",
            )
        },
        counting_article="ICO, A guide to subject access: time limits",
        counting="From the day of receipt to the same date of the next month, or its last day when there is none.",
        rolling_article="ICO, A guide to subject access: time limits",
        pauses={
            Ground.IDENTITY: PauseRule(
                article="UK GDPR Art. 12(6), 12A(2)(b)", effect=Effect.RESTARTS, rights=_UNDER_ARTICLE_12
            ),
            Ground.FEE: PauseRule(
                article="UK GDPR Art. 12(5), 12A(2)(c)", effect=Effect.RESTARTS, rights=_UNDER_ARTICLE_12
            ),
            Ground.CLARIFICATION: PauseRule(
                article="UK GDPR Art. 12A(5)", effect=Effect.SUSPENDS_FROM_ASKING, rights=_ACCESS_ALONE
            ),
        },
        no_pause_article="UK GDPR Art. 12A",
        no_pause="The law stops the clock for who asks and for a fee, and for what is meant when access is asked for.",
    ),
    "ccpa": LawPack(
        regulation="ccpa",
        title="California Consumer Privacy Act, as amended by the CPRA",
        version="2026-01-01",
        general=Terms(
            respond=Period(days=45),
            respond_article=_CCPA_DUE,
            in_all=Period(days=90),
            extend_article=_CCPA_DUE,
            extend_demands="reasonable need, with notice and an explanation to the consumer within the first 45 days",
            acknowledge=Period(business_days=10),
            acknowledge_article="11 CCR § 7021(a)",
        ),
        rights={
            Right.ACCESS: "Cal. Civ. Code § 1798.110",
            Right.PORTABILITY: "Cal. Civ. Code § 1798.130(a)(3)(B)(iii)",
            Right.ERASURE: "Cal. Civ. Code § 1798.105",
            Right.RECTIFICATION: "Cal. Civ. Code § 1798.106",
            Right.RESTRICTION: "Cal. Civ. Code § 1798.121 (the right to limit)",
            Right.OBJECTION: "Cal. Civ. Code § 1798.120 (the right to opt out)",
            Right.OPT_OUT: "Cal. Civ. Code § 1798.120",
        },
        special={
            Right.OPT_OUT: _CCPA_OPT_OUT,
            Right.OBJECTION: _CCPA_OPT_OUT,
            Right.RESTRICTION: Terms(
                respond=Period(business_days=15),
                respond_article="11 CCR § 7027(g)",
                in_all=None,
                extend_article="11 CCR § 7027(g)",
            ),
        },
        counting_article="11 CCR § 7021(b)",
        counting="From receipt, whatever time it takes to verify the request; business days leave out holidays.",
        rolling_article="Cal. Civ. Proc. Code § 12a",
        no_pause_article="11 CCR § 7021(b)",
        no_pause="The time runs from receipt, whatever time it takes to verify the request.",
    ),
    "dpdpa": LawPack(
        regulation="dpdpa",
        title="Digital Personal Data Protection Act, 2023 (India)",
        version="2025-11-13",
        general=Terms(
            respond=Period(days=30),
            respond_article="DPDP Act 2023 ss. 11-13; DPDP Rules 2025 r. 14 (30 days are this product's default)",
            in_all=Period(days=90),
            extend_article="DPDP Act 2023 s. 13(2); DPDP Rules 2025 r. 14(3)",
            extend_demands="a reason; ninety days in all are the ceiling",
        ),
        rights={
            Right.ACCESS: "DPDP Act 2023 s. 11",
            Right.ERASURE: "DPDP Act 2023 s. 12(3)",
            Right.RECTIFICATION: "DPDP Act 2023 s. 12(2)",
            Right.OBJECTION: "DPDP Act 2023 s. 6(4) (withdrawal of consent)",
            Right.OPT_OUT: "DPDP Act 2023 s. 6(4) (withdrawal of consent)",
            Right.GRIEVANCE: "DPDP Act 2023 s. 13",
        },
        special={
            Right.GRIEVANCE: Terms(
                respond=Period(days=90),
                respond_article="DPDP Act 2023 s. 13(2); DPDP Rules 2025 r. 14(3)",
                in_all=None,
                extend_article="DPDP Rules 2025 r. 14(3)",
            )
        },
        counting_article="General Clauses Act 1897 s. 9",
        counting="Calendar days; the day of receipt is not counted.",
        rolling_article="General Clauses Act 1897 s. 10",
        no_pause_article="DPDP Rules 2025 r. 14(3)",
        no_pause="The law names a period and a ceiling, and nothing that stops them.",
    ),
}


def law_pack(regulation: str) -> LawPack:
    """Raises UnknownRegulation."""
    try:
        return LAWS[regulation]
    except KeyError as e:
        raise UnknownRegulation(f"Regulation must be one of {', '.join(LAWS)}.") from e


def right_of(name: str) -> Right:
    """The right that a kind of request exercises, whichever way it is written. Raises UnknownRight."""
    try:
        return OTHER_NAMES.get(name) or Right(name.replace("-", "_"))
    except ValueError as e:
        raise UnknownRight(f"A right is one of {', '.join(Right)}.") from e
