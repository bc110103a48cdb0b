"""The form of a language's words. Tables by the names that requests, laws and the catalogue use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Language:
    """`cite` writes an article as the language does. Sentences take what stands in braces.

    `remedies`, `authorities` and `laws` are by regulation, `requests` and `done` by kind of request, `grounds` by
    ground of a rejection, `kept` by ground of what an erasure leaves, `data` by entity. `first` is how the first
    day of a month is written, where that is no plain number.
    """

    name: str
    date: str
    first: str = "1"
    cite: Callable[[str], str]
    laws: Mapping[str, str]
    requests: Mapping[str, str]
    contact: str
    authorities: Mapping[str, str]
    authority_named: str
    remedies: Mapping[str, str]
    grounds: Mapping[str, str]
    done: Mapping[str, str]
    in_part: str
    no_data: str
    resolution: str
    opted_out: str
    erased: str
    reduced: str
    kept_lead: str
    kept: Mapping[str, str]
    until: str
    package: str
    handover: str
    when: str
    data: Mapping[str, str]
    told_lead: str
    not_told_lead: str
    being_told: str
