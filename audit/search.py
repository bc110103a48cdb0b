"""Finding records: by what they are about, who did it, what was done, and when. Fast in a log of millions.

Row-level security lets an index answer equality and order, and little else. So every condition is an equality on a
column with an index, pages follow a key instead of an offset, and nothing is counted. Where a word may stand in one of
several columns, each is asked by itself for one page, and the answers are merged.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import or_
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Q
from django.utils.dateparse import parse_datetime

from audit.models import AuditRecord, AuditRecordQuerySet
from kaireon.tenancy.admin_pages import is_uuid
from kaireon.tenancy.context import current

PAGE = 50
# What a field suggests, and what is looked for of one person.
MOST_SUGGESTED = 200
MOST_IDS = 2_000

# Layers above tell what a word means as a person: the rows about them, ids by entity type.
SUBJECT_FINDERS: list[Callable[[str], Mapping[str, Iterable[str]]]] = []

# Every value of a column, each found from the one before by its index.
_DISTINCT = """
WITH RECURSIVE found AS (
    (SELECT min({column}) AS value FROM public.audit_record WHERE tenant_id = %(tenant)s)
    UNION ALL
    SELECT (SELECT min(r.{column}) FROM public.audit_record r WHERE r.tenant_id = %(tenant)s AND r.{column} > f.value)
      FROM found f WHERE f.value IS NOT NULL
)
SELECT value FROM found WHERE value IS NOT NULL LIMIT %(most)s
"""


class BadSearch(ValueError):
    """What was asked for cannot be looked up. The message is for whoever asked."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is looked for; empty fields ask for nothing."""

    word: str = ""
    entity_type: str = ""
    entity_id: str = ""
    subject: str = ""
    actor: str = ""
    action: str = ""
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_empty(self) -> bool:
        return self == Search()

    @property
    def by_time(self) -> bool:
        """Then pages follow the clock, which an index answers; else the order of the log, which is nearly the same."""
        return self.since is not None or self.until is not None


@dataclass(frozen=True, kw_only=True)
class Found:
    """One page, newest first. `newer` and `older` are the seq to go on from, None where there is nothing."""

    rows: list[AuditRecord] = field(default_factory=list)
    newer: int | None = None
    older: int | None = None


def moment(text: str, zone: ZoneInfo) -> datetime | None:
    """A moment as people write it: with an offset, or without one in `zone`. Raises BadSearch."""
    if not text.strip():
        return None
    try:
        found = parse_datetime(text.strip().replace(" ", "T", 1) if len(text.strip()) > 10 else f"{text.strip()}T00:00")
    except ValueError:
        found = None
    if found is None:
        raise BadSearch(f"“{text[:40]}” is no moment: write 2026-01-31T10:00, with an offset if you like.")
    try:
        return found if found.tzinfo else found.replace(tzinfo=zone)
    except OverflowError as error:
        raise BadSearch("There is no such moment.") from error


def find(search: Search, *, before: int | None = None, after: int | None = None, size: int = PAGE) -> Found:
    """One page of the active scope's log: the newest, or what is older than `before` or newer than `after`.

    Raises BadSearch.
    """
    if search.since and search.until and search.since > search.until:
        raise BadSearch("The time ends before it begins.")
    upwards = after is not None
    start = after if upwards else before
    keys: dict[int, datetime] = {}
    for condition in _conditions(search):
        rows = _beyond(_narrowed(search).filter(condition), search, start, upwards=upwards)
        keys.update(rows.values_list("seq", "timestamp")[: size + 1])
    place = (lambda seq: (keys[seq], seq)) if search.by_time else (lambda seq: seq)
    order = sorted(keys, key=place, reverse=not upwards)
    is_more, shown = len(order) > size, order[:size]
    if upwards:
        shown.reverse()
    if not shown:
        return Found()
    records = _rows(shown)
    return Found(
        rows=[records[seq] for seq in shown],
        newer=shown[0] if (is_more if upwards else start is not None) else None,
        older=shown[-1] if (start is not None if upwards else is_more) else None,
    )


def suggestions(column: str) -> list[str]:
    """The values a column has in the active scope's log, for a field to offer; not more than MOST_SUGGESTED."""
    if column not in ("action", "entity_type"):
        raise ValueError(column)
    with connection.cursor() as cursor:
        cursor.execute(_DISTINCT.format(column=column), {"tenant": current().tenant_id, "most": MOST_SUGGESTED})
        return [value for (value,) in cursor.fetchall()]


def about(subject: str) -> dict[str, list[str]]:
    """The rows about a person, however they are named: ids by entity type."""
    rows: dict[str, list[str]] = {}
    for finder in SUBJECT_FINDERS:
        for entity_type, ids in finder(subject).items():
            rows.setdefault(entity_type, []).extend(ids)
    return {entity_type: ids[:MOST_IDS] for entity_type, ids in rows.items() if ids}


def _rows(seqs: list[int]) -> dict[int, AuditRecord]:
    return {row.seq: row for row in AuditRecord.objects.filter(seq__in=seqs).defer("before", "after")}


def _narrowed(search: Search) -> AuditRecordQuerySet:
    rows: AuditRecordQuerySet = AuditRecord.objects.all()
    equal: dict[str, object] = {
        name: value
        for name, value in (
            ("entity_type", search.entity_type),
            ("action", search.action),
            ("request_id", search.request_id),
        )
        if value
    }
    if search.entity_id:
        equal["entity_id"] = search.entity_id
        if not search.entity_type:
            # The index leads with the type; there are few of them.
            rows = rows.filter(entity_type__in=suggestions("entity_type"))
    if search.since:
        equal["timestamp__gte"] = search.since
    if search.until:
        equal["timestamp__lte"] = search.until
    return rows.filter(**equal)


def _conditions(search: Search) -> list[Q]:
    """Alternatives, each of which one index answers: a record is found that meets any of them."""
    words = _word(search.word) if search.word else [Q()]
    actors = [Q(user_id=search.actor), Q(user_name=search.actor)] if search.actor else [Q()]
    people = [_person(search.subject)] if search.subject else [Q()]
    return [word & actor & person for word in words for actor in actors for person in people]


def _word(word: str) -> list[Q]:
    found = [Q(action=word), Q(user_name=word), Q(user_id=word), Q(request_id=word)]
    types = suggestions("entity_type")
    found.append(Q(entity_type__in=types, entity_id=word))
    if word in types:
        found.append(Q(entity_type=word))
    if word.removeprefix("#").isdecimal() and len(word) < len(str(2**63)):
        found.append(Q(seq=int(word.removeprefix("#"))))
    if is_uuid(word):
        found.append(Q(pk=word))
    return found


def _person(subject: str) -> Q:
    pairs = [Q(entity_type=entity_type, entity_id__in=ids) for entity_type, ids in about(subject).items()]
    return reduce(or_, pairs) if pairs else Q(pk=None)


def _beyond(rows: AuditRecordQuerySet, search: Search, start: int | None, *, upwards: bool) -> AuditRecordQuerySet:
    side, sign = ("gt", "") if upwards else ("lt", "-")
    if not search.by_time:
        found = rows.filter(**{f"seq__{side}": start}) if start is not None else rows
        return found.order_by(f"{sign}seq")
    if start is not None:
        moment_there = AuditRecord.objects.filter(seq=start).values_list("timestamp", flat=True).first()
        if moment_there is None:
            return rows.none()
        rows = rows.filter(
            Q(**{f"timestamp__{side}": moment_there}) | Q(timestamp=moment_there, **{f"seq__{side}": start})
        )
        # The range by itself is what the index is asked with.
        rows = rows.filter(**{f"timestamp__{side}e": moment_there})
    return rows.order_by(f"{sign}timestamp", f"{sign}seq")
