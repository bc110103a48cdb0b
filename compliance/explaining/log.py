"""The same for a record of the audit log, which goes with all of the prefix that a checkpoint seals."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef

from audit.models import AuditHead, AuditRecord, Checkpoint, Publication
from audit.pruning import prune
from audit.pruning.prune import Plan
from compliance.explaining import facts, holding
from compliance.explaining.explanation import Explanation, Path, Reason, Way, Why, moment, words
from compliance.holding import predicate
from compliance.retention.in_force import in_force
from kaireon.tenancy.context import requires_transaction

NAME, TITLE = "auditRecord", "Record of the audit log"
CLOCK = "timestamp"
LAW, FLOOR = "built-in", "PCI DSS 10.5.1"
DOES = "moves it to the archive with everything before it, once two people agreed; its leaf hash stays"


@requires_transaction
def explain(record_id: UUID, *, now: datetime) -> Explanation | None:
    """None when the active tenant's log has no such record, or none any more."""
    record = AuditRecord.objects.filter(pk=record_id).first()
    if record is None:
        return None
    seal = _seal(record)
    plan = prune.make_plan(now=now, last_seq=seal.tree_size if seal else None)
    touching = list(predicate.touching_log(prune.DATA_CLASS).select_related("matter"))
    said = Explanation(
        entity=NAME,
        title=TITLE,
        id=record.pk,
        data_class=prune.DATA_CLASS,
        at=now,
        clock=CLOCK,
        clock_at=record.timestamp,
        is_due=seal is not None and plan.checkpoint is not None and not plan.in_the_way,
        policies=facts.policies(in_force(prune.DATA_CLASS, now)),
        holds=[*facts.class_holds(prune.DATA_CLASS), *facts.scoped_holds(touching)],
    )
    ends = seal.signed_at + timedelta(days=plan.kept_days) if seal and plan.kept_days is not None else None
    if plan.policy_days is not None and plan.policy_days < prune.FLOOR_DAYS:
        said.floors.append({"law": LAW, "citation": FLOOR, "days": prune.FLOOR_DAYS, "until": moment(ends)})
    said.reasons = [*holding.reasons(said, touching), *_too_early(said, plan, ends)] or _in_the_way(plan)
    said.paths = [Path(way=Way.PRUNE, does=DOES, earliest=said.free_at)]
    return said


def _seal(record: AuditRecord) -> Checkpoint | None:
    """The published checkpoint that sealed it first. The log's last record always stays, so one of all is none yet."""
    head = AuditHead.objects.filter(tenant_id=record.tenant_id).values_list("seq", flat=True).first() or 0
    published = Publication.objects.filter(tenant_id=OuterRef("tenant_id"), tree_size=OuterRef("tree_size"))
    return (
        Checkpoint.objects.filter(
            Exists(published), tenant_id=record.tenant_id, tree_size__gte=record.seq, tree_size__lt=head
        )
        .order_by("tree_size")
        .first()
    )


def _too_early(said: Explanation, plan: Plan, ends: datetime | None) -> list[Reason]:
    if plan.policy_days is None:
        return [Reason(why=Why.NO_POLICY, text="No policy says how long the audit log is kept.")]
    if ends is None:
        text = "No published checkpoint seals it yet, with a record behind it; its time counts from that."
        return [Reason(why=Why.NOT_SEALED, text=text)]
    if ends <= said.at:
        return []
    text = f"{plan.kept_days:,} days from the checkpoint that seals it: until {words(ends)}."
    if said.floors:
        return [Reason(why=Why.LAW, text=f"{FLOOR} keeps it {text}", until=ends)]
    return [Reason(why=Why.PERIOD, text=f"The log is kept {text}", until=ends)]


def _in_the_way(plan: Plan) -> list[Reason]:
    """What only a plan of the prune knows."""
    return [Reason(why=Why.LOG, text=f"{fact[:1].upper()}{fact[1:]}.") for fact in plan.in_the_way]
