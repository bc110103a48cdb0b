"""Whether the audit log is whole: what came into it, what was signed of it, who verified it, what was removed."""

from django.db.models import Count, Max, Min

from audit.models import AuditRecord, Checkpoint, Publication, Tombstone, VerificationRun
from audit.models.checkpoint import Channel
from audit.models.verification import VerificationState
from audit.state import State, state
from compliance.reporting import counting
from compliance.reporting.document import Cell, Figure, Section, Table, count, moment, several
from compliance.reporting.templates import Asked, Template, register
from kaireon.tenancy import context
from kaireon.tenancy.roles import Permission

# Of the runs of a period so many are listed, the newest.
MOST_RUNS = 50


def now(asked: Asked) -> State:
    return state(now=asked.now)


def records(asked: Asked) -> counting.Counts:
    return counting.per_part(AuditRecord.objects.all(), "timestamp", asked)


def verifications(asked: Asked) -> dict[str, int]:
    found = counting.within(VerificationRun.objects.order_by(), "started_at", asked)
    return dict(found.values_list("state").annotate(Count("pk")))


def summary(asked: Asked) -> str:
    found, runs = asked.once(now), asked.once(verifications)
    verified = found.verified
    told = (
        "It was never verified."
        if verified is None
        else f"Its newest verification, {moment(verified.at, asked.zone)}, found it {_word(intact=verified.intact)}."
    )
    return (
        f"Records of this period in the log: {count(counting.in_all(asked.once(records)))}."
        f" {several(runs.get(VerificationState.INTACT, 0), 'verification')} of the period found the log intact and"
        f" {count(runs.get(VerificationState.BROKEN, 0))} found it broken. {told}"
    )


def log(asked: Asked) -> Section:
    found, counts = asked.once(now), asked.once(records)
    seqs = counting.within(AuditRecord.objects.order_by(), "timestamp", asked).aggregate(Min("seq"), Max("seq"))
    first, last = seqs["seq__min"], seqs["seq__max"]
    return Section(
        title="The log",
        note="Each record is chained to the one before it by its hash, and is a leaf of the tree that checkpoints sign."
        if first
        else "Nothing was recorded in this period.",
        figures=(
            Figure(label="Records of the period", value=count(counting.in_all(counts))),
            Figure(label="Positions", value=f"{first} to {last}" if first else None, note="" if first else "no record"),
            Figure(label="Records in all", value=count(found.records), note=f"at {moment(asked.now, asked.zone)}"),
            Figure(
                label="Hash of the head",
                value=found.head_hash[:16] or None,
                note="the first 16 digits" if found.head_hash else "no record",
            ),
        ),
        charts=(counting.chart(counts, asked, title="Recorded", unit="records", names=[("", "Records")]),)
        if counts
        else (),
    )


def checkpoints(asked: Asked) -> Section:
    found = asked.once(now)
    mine = Checkpoint.objects.filter(tenant_id=context.tenant_id())
    signed = counting.within(mine, "signed_at", asked).aggregate(Count("tree_size"), Max("tree_size"))
    left = counting.within(Publication.objects.filter(tenant_id=context.tenant_id()), "published_at", asked)
    channels = dict(left.order_by().values_list("channel").annotate(Count("tree_size")))
    newest = found.checkpoint
    return Section(
        title="Checkpoints",
        note="A checkpoint signs the root of the tree over all records up to its size; published, it is out of reach of"
        " whoever has the database.",
        figures=(
            Figure(label="Signed in the period", value=count(signed["tree_size__count"])),
            Figure(
                label="The newest of all",
                value=f"of {count(newest.tree_size)} records" if newest else None,
                note=moment(newest.signed_at, asked.zone) if newest else "none was signed",
            ),
            Figure(label="Records after it", value=count(found.uncommitted)),
        ),
        tables=(
            Table(
                title="Published in the period",
                columns=("Channel", "Checkpoints"),
                rows=tuple((channel.label, channels.get(channel, 0)) for channel in Channel),
            ),
        ),
    )


def verification(asked: Asked) -> Section:
    runs = asked.once(verifications)
    listed = counting.within(VerificationRun.objects.newest_first(), "started_at", asked).defer("point_sealed")
    return Section(
        title="Verifications",
        note="A verification reads the log from its first record or from the last verified point, and works out every"
        " hash anew."
        if runs
        else "The log was not verified in this period.",
        figures=tuple(Figure(label=one.label, value=count(runs.get(one, 0))) for one in VerificationState),
        tables=(
            Table(
                title="Runs, newest first",
                columns=("Started", "Asked by", "What", "Records", "Outcome", "First fault"),
                rows=tuple(_run(row, asked) for row in listed[:MOST_RUNS]),
                truncated=max(0, sum(runs.values()) - MOST_RUNS),
            ),
        ),
    )


def removed(asked: Asked) -> Section:
    rows = counting.within(Tombstone.objects.filter(tenant_id=context.tenant_id()), "pruned_at", asked)
    listed = list(rows.order_by("pruned_at")[: MOST_RUNS + 1])
    return Section(
        title="Removed by retention",
        note="What is removed leaves a signed tombstone and its hashes, so that the rest is verified as before."
        if listed
        else "Nothing was removed from the log in this period.",
        tables=(
            Table(
                title="Tombstones",
                columns=("Removed", "From position", "To position", "Records", "Archive's SHA-256"),
                rows=tuple(
                    (moment(row.pruned_at, asked.zone), row.first_seq, row.last_seq, row.records, row.archive_sha256)
                    for row in listed[:MOST_RUNS]
                ),
                truncated=max(0, rows.count() - MOST_RUNS) if len(listed) > MOST_RUNS else 0,
            ),
        )
        if listed
        else (),
    )


def _run(row: VerificationRun, asked: Asked) -> tuple[Cell, ...]:
    fault = f"record {row.broken_at_seq}: {row.broken_reason}" if row.state == VerificationState.BROKEN else ""
    what, outcome = str(row.get_kind_display()), str(row.get_state_display())
    return moment(row.started_at, asked.zone), row.asked_by, what, row.scanned, outcome, fault


def _word(*, intact: bool) -> str:
    return "intact" if intact else "broken"


register(
    Template(
        name="audit_integrity",
        title="Integrity of the audit log",
        help="Records of a period, the checkpoints signed and published, the verifications and what they found, and"
        " what retention removed.",
        permission=Permission.READ_AUDIT,
        summary=summary,
        sections={
            "The log": log,
            "Checkpoints": checkpoints,
            "Verifications": verification,
            "Removed by retention": removed,
        },
    )
)
