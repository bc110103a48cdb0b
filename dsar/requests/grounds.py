"""Why a request may be rejected: each ground, the kinds it is for, and where each law allows it. Data."""

from collections.abc import Collection
from dataclasses import dataclass

from dsar.models import RequestType

_PACKAGES = (RequestType.EXPORT, RequestType.PORTABILITY)
_ALL = tuple(RequestType.values)


class GroundNotInLaw(ValueError):
    """The request's law does not know this ground for this kind of request. Says which grounds it knows."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """`articles` by regulation; a law that is not there does not allow it."""

    title: str
    kinds: Collection[str]
    articles: dict[str, str]
    # (regulation, kind) that it is not for all the same.
    never: frozenset[tuple[str, str]] = frozenset()


# 11 CCR § 7060(b): nobody has to prove who they are to opt out.
UNPROVEN: frozenset[tuple[str, str]] = frozenset({("ccpa", RequestType.OPT_OUT)})

GROUNDS: dict[str, Ground] = {
    "manifestly_unfounded": Ground(
        title="Manifestly unfounded",
        kinds=_ALL,
        articles={
            "gdpr": "GDPR Art. 12(5)(b)",
            "uk_gdpr": "UK GDPR Art. 12(5)(b)",
            "ccpa": "Cal. Civ. Code § 1798.145(h)(3)",
        },
    ),
    "excessive": Ground(
        title="Excessive, above all by repetition",
        kinds=_ALL,
        articles={
            "gdpr": "GDPR Art. 12(5)(b)",
            "uk_gdpr": "UK GDPR Art. 12(5)(b)",
            "ccpa": "Cal. Civ. Code § 1798.145(h)(3)",
        },
    ),
    "identity_not_proven": Ground(
        title="Not known to be the subject",
        kinds=_ALL,
        articles={
            "gdpr": "GDPR Art. 12(2), 12(6)",
            "uk_gdpr": "UK GDPR Art. 12(2), 12(6)",
            "ccpa": "Cal. Civ. Code § 1798.130(a)(2)(A); 11 CCR § 7060",
            "dpdpa": "DPDP Rules 2025, Rule 14(2)",
        },
        never=UNPROVEN,
    ),
    "fraudulent": Ground(
        title="Believed to be fraudulent, for documented reasons",
        kinds=(RequestType.OPT_OUT,),
        articles={"ccpa": "11 CCR § 7026(e)"},
    ),
    "rights_of_others": Ground(
        title="It would harm the rights of others",
        kinds=_PACKAGES,
        articles={
            "gdpr": "GDPR Art. 15(4), 20(4)",
            "uk_gdpr": "UK GDPR Art. 15(4), 20(4)",
            "ccpa": "Cal. Civ. Code § 1798.145(k)",
        },
    ),
    "legal_obligation": Ground(
        title="A law demands that the data is kept",
        kinds=(RequestType.DELETE,),
        articles={
            "gdpr": "GDPR Art. 17(3)(b)",
            "uk_gdpr": "UK GDPR Art. 17(3)(b)",
            "ccpa": "Cal. Civ. Code § 1798.105(d)(8)",
            "dpdpa": "DPDP Act 2023, s. 12(3)",
        },
    ),
    "legal_claims": Ground(
        title="Needed for legal claims",
        kinds=(RequestType.DELETE, RequestType.OBJECTION),
        articles={
            "gdpr": "GDPR Art. 17(3)(e), 21(1)",
            "uk_gdpr": "UK GDPR Art. 17(3)(e), 21(1)",
            "ccpa": "Cal. Civ. Code § 1798.145(a)(1)(E)",
            "dpdpa": "DPDP Act 2023, s. 17(1)(a)",
        },
    ),
    "compelling_grounds": Ground(
        title="Compelling legitimate grounds override",
        kinds=(RequestType.OBJECTION,),
        articles={"gdpr": "GDPR Art. 21(1)", "uk_gdpr": "UK GDPR Art. 21(1)"},
    ),
    "accurate": Ground(
        title="The data is accurate",
        kinds=(RequestType.RECTIFICATION,),
        articles={
            "gdpr": "GDPR Art. 16",
            "uk_gdpr": "UK GDPR Art. 16",
            "ccpa": "11 CCR § 7023(b)",
            "dpdpa": "DPDP Act 2023, s. 12(2)",
        },
    ),
    "not_applicable": Ground(
        title="The right does not apply here",
        kinds=(RequestType.PORTABILITY, RequestType.RESTRICTION, RequestType.OBJECTION),
        articles={
            "gdpr": "GDPR Art. 20(1), 18(1), 21(1)",
            "uk_gdpr": "UK GDPR Art. 20(1), 18(1), 21(1)",
            # These laws do not have these rights at all.
            "ccpa": "Cal. Civ. Code §§ 1798.100 to 1798.125",
            "dpdpa": "DPDP Act 2023, ss. 11 to 14",
        },
    ),
}


def article_for(ground: str, *, request_type: str, regulation: str) -> str:
    """Where the law allows to reject such a request on this ground. Raises GroundNotInLaw."""
    known = allowed(request_type=request_type, regulation=regulation)
    if ground not in known:
        raise GroundNotInLaw(f"is none that this law knows for such a request. Known: {', '.join(known)}.")
    return GROUNDS[ground].articles[regulation]


def allowed(*, request_type: str, regulation: str) -> list[str]:
    """The grounds that a request of this kind can be rejected on under this law."""
    return [
        name
        for name, ground in GROUNDS.items()
        if request_type in ground.kinds
        and regulation in ground.articles
        and (regulation, request_type) not in ground.never
    ]
