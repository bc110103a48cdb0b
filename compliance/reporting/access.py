"""Who got to see personal data, and took it away: as the log recorded it, by kind and by whoever did it."""

from django.db.models import Count, Max, Min

from audit.models import AuditRecord
from compliance.reporting import counting
from compliance.reporting.document import Cell, Figure, Section, Table, count, moment, several
from compliance.reporting.templates import Asked, Template, register
from kaireon.tenancy.roles import Permission

# Verbs of the log by the kind of access, with what each is called.
READS: dict[str, str] = {
    "personal.view": "Personal values looked at",
    "audit_log.reveal": "Sealed values of the log shown",
    "dsar.letter.read": "Letters read",
    "dsar.certificate.read": "Certificates read",
    "dead_letter.read": "Messages that were given up, read",
    "audit_log.read": "Log read",
    "audit_log.prove": "Log proved",
}
TAKEN: dict[str, str] = {
    "dsar.export.downloaded": "Dossiers downloaded",
    "interactions.exported": "Files of interactions exported",
    "audit_log.export": "Log exported",
    "audit_log.download": "Exports of the log downloaded",
    "retention.dispositions.export": "Reports of dispositions",
}
REFUSED = "access.refused"
KINDS = {**READS, **TAKEN, REFUSED: "Access refused"}
# Of those who had access so many are listed, the busiest.
MOST_ACTORS = 50


def found(asked: Asked) -> counting.Counts:
    return counting.per_part(AuditRecord.objects.filter(action__in=KINDS), "timestamp", asked, by="action")


def summary(asked: Asked) -> str:
    counts = asked.once(found)
    if not counts:
        return "Nobody looked at personal data or took it away in this period, and nobody was refused."
    read, taken, refused = _sum(counts, READS), _sum(counts, TAKEN), counting.in_all(counts, REFUSED)
    return (
        f"Personal data and the log were read {several(read, 'time')} and taken away {several(taken, 'time')}."
        f" Access was refused {several(refused, 'time')}."
    )


def kinds(asked: Asked) -> Section:
    counts = asked.once(found)
    placed = dict(_placed(asked)) if counts else {}
    groups = {
        part: {"reads": _part(counts, READS, part), "taken": _part(counts, TAKEN, part)} for part in _parts(asked)
    }
    drawn = {kind: {part: group[kind] for part, group in groups.items()} for kind in ("reads", "taken")}
    chart = counting.chart(
        {**drawn, "refused": counts.get(REFUSED, {})},
        asked,
        title="Access",
        unit="records",
        names=[("reads", "Read"), ("taken", "Taken away"), ("refused", "Refused")],
        kind="stacked",
    )
    return Section(
        title="By kind",
        note="One record each time that somebody looked at personal values, or fetched a file with them; a list that"
        " was looked at is one record of all whom it showed."
        if counts
        else "There was no access in this period.",
        figures=(
            Figure(label="Read", value=count(_sum(counts, READS))),
            Figure(label="Taken away", value=count(_sum(counts, TAKEN))),
            Figure(label="Refused", value=count(counting.in_all(counts, REFUSED))),
        ),
        charts=(chart,) if counts else (),
        tables=(
            Table(
                title="What was done",
                columns=("Kind", "Verb", "Records", "First position", "Last position"),
                rows=tuple(
                    (title, verb, counting.in_all(counts, verb), *placed.get(verb, (None, None)))
                    for verb, title in KINDS.items()
                ),
            ),
        ),
    )


def actors(asked: Asked) -> Section:
    rows = counting.within(AuditRecord.objects.filter(action__in=[*READS, *TAKEN]).order_by(), "timestamp", asked)
    by = rows.values("user_id", "actor_type").annotate(
        name=Max("user_name"),
        n=Count("pk"),
        kinds=Count("action", distinct=True),
        last=Max("timestamp"),
        seq=Max("seq"),
    )
    listed = list(by.order_by("-n", "user_id")[: MOST_ACTORS + 1])
    more = by.count() - MOST_ACTORS if len(listed) > MOST_ACTORS else 0
    return Section(
        title="By whom",
        note="Members, keys and jobs under the names that the log has for them." if listed else "",
        tables=(
            Table(
                title="Who had access, the busiest first",
                columns=("Who", "As", "Records", "Kinds", "Last", "Last position"),
                rows=tuple(_actor(row, asked) for row in listed[:MOST_ACTORS]),
                truncated=more,
            ),
        ),
    )


def _placed(asked: Asked) -> list[tuple[str, tuple[int, int]]]:
    rows = counting.within(AuditRecord.objects.filter(action__in=KINDS).order_by(), "timestamp", asked)
    found = rows.values_list("action").annotate(Min("seq"), Max("seq"))
    return [(action, (first, last)) for action, first, last in found]


def _actor(row: dict[str, object], asked: Asked) -> tuple[Cell, ...]:
    kind = {"user": "Member", "api_key": "API key", "job": "Job", "system": "System"}[str(row["actor_type"])]
    return row["name"], kind, row["n"], row["kinds"], moment(row["last"], asked.zone), row["seq"]  # type: ignore[return-value,arg-type]


def _parts(asked: Asked) -> list[str]:
    return [part.label for part in asked.period.parts(asked.zone)]


def _part(counts: counting.Counts, verbs: dict[str, str], part: str) -> int:
    return sum(counts.get(verb, {}).get(part, 0) for verb in verbs)


def _sum(counts: counting.Counts, verbs: dict[str, str]) -> int:
    return sum(counting.in_all(counts, verb) for verb in verbs)


register(
    Template(
        name="personal_data_access",
        title="Access to personal data",
        help="Reads, exports and downloads of personal data that the log recorded, by month, kind and who did it.",
        permission=Permission.READ_AUDIT,
        summary=summary,
        sections={"By kind": kinds, "By whom": actors},
    )
)
