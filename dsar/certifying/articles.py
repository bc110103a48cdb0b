"""The articles that an erasure rests on, by law: what asks for it, and what lets something stay. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Article:
    article: str
    says: str


_ERASES = "The subject obtains the erasure of their personal data."
_KEEPS = "What may stay: legal obligations, legal claims, public interest."
_TELLS = "Recipients of the data are told of the erasure."
_PROVES = "The controller can demonstrate that it complied."

ARTICLES: dict[str, tuple[Article, ...]] = {
    "gdpr": (
        Article(article="GDPR Art. 17(1)", says=_ERASES),
        Article(article="GDPR Art. 17(3)", says=_KEEPS),
        Article(article="GDPR Art. 19", says=_TELLS),
        Article(article="GDPR Art. 5(2)", says=_PROVES),
    ),
    "uk_gdpr": (
        Article(article="UK GDPR Art. 17(1)", says=_ERASES),
        Article(article="UK GDPR Art. 17(3)", says=_KEEPS),
        Article(article="UK GDPR Art. 19", says=_TELLS),
        Article(article="UK GDPR Art. 5(2)", says=_PROVES),
    ),
    "ccpa": (
        Article(article="Cal. Civ. Code § 1798.105(c)(1)", says="A verified request deletes the personal information."),
        Article(article="Cal. Civ. Code § 1798.105(d)", says="What may stay: the purposes listed there."),
        Article(article="11 CCR § 7022", says="How a request to delete is carried out and answered."),
        Article(article="11 CCR § 7101", says="Records of requests are kept for 24 months at least."),
    ),
    "dpdpa": (
        Article(article="DPDP Act 2023 s. 12(3)", says="Personal data is erased on request, unless a law keeps it."),
        Article(article="DPDP Act 2023 s. 8(7)", says="Data is erased when consent ends or its purpose is served."),
    ),
}
