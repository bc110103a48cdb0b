"""The figures of this layer and those below: the log, messages, background jobs, sign-ins, models, interactions.

Each looks at few rows by an index, and at rows of the active tenant alone. That a tenant's accounts could not sign in
is in the platform's log: PostgreSQL counts it for the active tenant, and answers that number and nothing else.
"""

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, Min, Q

from audit.models import AuditRecord, SiemDestination
from audit.shipping import destinations
from audit.shipping.lag import Lag, lag
from audit.state import state
from compliance.alerting.metrics import Asked, Metric, Unit, register
from compliance.models import Drift
from customers.models import Interaction
from customers.models.interaction import InteractionKind, InteractionQuerySet
from customers.propensity import versions
from kaireon.jobs.models import Job, JobState
from kaireon.outbox.models import DeadLetter, Message, MessageQuerySet, MessageState

# Counted to here and not further, so that a figure costs the same when it matters most.
MOST_COUNTED = 100_000
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)


def chain_intact(asked: Asked) -> float | None:
    verified = state(now=asked.now).verified
    return None if verified is None else float(verified.intact)


def verification_age(asked: Asked) -> float | None:
    verified = state(now=asked.now).verified
    return None if verified is None else _hours(asked.now - verified.at)


def checkpoint_age(asked: Asked) -> float | None:
    """0 while the newest checkpoint commits to every record."""
    found = state(now=asked.now)
    if found.uncommitted == 0:
        return 0.0
    return None if found.checkpoint is None else _seconds(asked.now - found.checkpoint.signed_at)


def sequencing_lag(asked: Asked) -> float:
    return _seconds(state(now=asked.now).lag)


def siem_lag(asked: Asked) -> float | None:
    """Of the destination that is furthest behind. None when the log is shipped nowhere."""
    lags = [one.seconds(asked.now) for one in _shipped(asked)]
    return max(lags, default=None)


def siem_refused(asked: Asked) -> float | None:
    shipped = _shipped(asked)
    return float(sum(one.refused_records for one in shipped)) if shipped else None


def _shipped(asked: Asked) -> list[Lag]:
    """How far each destination is. The operator's is there since the log began."""
    found = [lag(str(pk), created_at=at) for pk, at in SiemDestination.objects.values_list("pk", "created_at")]
    if destinations.operators() is not None:
        began = AuditRecord.objects.order_by("seq").values_list("timestamp", flat=True).first()
        found.append(lag(destinations.OPERATOR, created_at=began or asked.now))
    return found


def config_drift(asked: Asked) -> float:
    return float(Drift.objects.open().count())


def dead_letters(asked: Asked) -> float:
    return float(DeadLetter.objects.open().order_by()[:MOST_COUNTED].count())


def outbox_backlog(asked: Asked) -> float:
    return float(_waiting().order_by()[:MOST_COUNTED].count())


def outbox_oldest(asked: Asked) -> float:
    oldest: datetime | None = _waiting().aggregate(oldest=Min("due_at"))["oldest"]
    return 0.0 if oldest is None else _seconds(asked.now - oldest)


def background_jobs_failed(asked: Asked) -> float:
    return float(Job.objects.filter(state=JobState.FAILED).order_by()[:MOST_COUNTED].count())


def access_refused(asked: Asked) -> float:
    rows = AuditRecord.objects.filter(action="access.refused", timestamp__gte=asked.since, timestamp__lte=asked.now)
    return float(rows.order_by()[:MOST_COUNTED].count())


def models_stale(asked: Asked) -> float | None:
    """None when no version of a model is served."""
    found = versions.standing()
    return float(found.stale) if found.served else None


def auth_failures(asked: Asked) -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT public.sign_in_failures(%s, %s)", [asked.since, asked.now])
        return float(cursor.fetchone()[0])


def acceptance(asked: Asked) -> float | None:
    return _share(asked, of=InteractionKind.CLICK, among=InteractionKind.IMPRESSION)


def conversion(asked: Asked) -> float | None:
    return _share(asked, of=InteractionKind.CONVERSION, among=InteractionKind.CLICK)


def interactions(asked: Asked) -> float:
    return float(_during(asked).count())


def _during(asked: Asked) -> InteractionQuerySet:
    return Interaction.objects.filter(occurred_at__gt=asked.since, occurred_at__lte=asked.now).order_by()


def _share(asked: Asked, *, of: str, among: str) -> float | None:
    """In percent; None when there was nothing to have a share of."""
    kinds = _during(asked).aggregate(of=Count("pk", filter=Q(kind=of)), among=Count("pk", filter=Q(kind=among)))
    return 100.0 * kinds["of"] / kinds["among"] if kinds["among"] else None


def _waiting() -> MessageQuerySet:
    return Message.objects.filter(state__in=[MessageState.PENDING, MessageState.SENDING])


def _seconds(span: timedelta) -> float:
    return max(0.0, span.total_seconds())


def _hours(span: timedelta) -> float:
    return _seconds(span) / 3600


register(
    Metric(
        name="audit_chain_intact",
        title="Audit log intact",
        help="1: the newest verification of the audit log found nothing wrong. No data: it was never verified.",
        unit=Unit.TRUTH,
        read=chain_intact,
    ),
    Metric(
        name="audit_verification_age",
        title="Age of the last verification",
        help="Hours since the audit log was last verified. No data: never.",
        unit=Unit.HOURS,
        read=verification_age,
    ),
    Metric(
        name="audit_checkpoint_age",
        title="Age of the checkpoint",
        help="Seconds since the newest checkpoint, while records came after it; 0 when none did. No data: none yet.",
        unit=Unit.SECONDS,
        read=checkpoint_age,
    ),
    Metric(
        name="audit_sequencing_lag",
        title="Records waiting for the sequencer",
        help="Seconds since when the first record waits to be put into the log; one sequencer serves all tenants.",
        unit=Unit.SECONDS,
        read=sequencing_lag,
    ),
    Metric(
        name="siem_lag",
        title="SIEM behind",
        help="Seconds since the SIEM destination furthest behind last had every record. No data: there is none.",
        unit=Unit.SECONDS,
        read=siem_lag,
    ),
    Metric(
        name="siem_refused",
        title="Records a SIEM refused",
        help="Records of the audit log that a SIEM destination does not take, or that were pruned before it had them."
        " No data: there is none.",
        unit=Unit.COUNT,
        read=siem_refused,
    ),
    Metric(
        name="dead_letters",
        title="Dead letters",
        help="Messages and jobs that were given up and nobody has dealt with.",
        unit=Unit.COUNT,
        read=dead_letters,
    ),
    Metric(
        name="outbox_backlog",
        title="Messages waiting",
        help="Messages of the outbox that are not delivered yet.",
        unit=Unit.COUNT,
        read=outbox_backlog,
    ),
    Metric(
        name="outbox_oldest_due",
        title="Oldest message due",
        help="Seconds since when the oldest of them is due.",
        unit=Unit.SECONDS,
        read=outbox_oldest,
    ),
    Metric(
        name="background_jobs_failed",
        title="Background jobs failed",
        help="Background jobs of the tenant that failed and were not tried again.",
        unit=Unit.COUNT,
        read=background_jobs_failed,
    ),
    Metric(
        name="config_drift",
        title="Differences from what is declared",
        help="What the last look at the tenant's file found otherwise than declared, and has not found gone.",
        unit=Unit.COUNT,
        read=config_drift,
    ),
    Metric(
        name="access_refused",
        title="Access refused",
        help="Calls and pages refused because the role does not allow them, over the window.",
        unit=Unit.COUNT,
        read=access_refused,
        longest=_WEEK,
    ),
    Metric(
        name="auth_failures",
        title="Failed sign-ins",
        help="Failed sign-ins to accounts of the tenant's members, over the window.",
        unit=Unit.COUNT,
        read=auth_failures,
        longest=_WEEK,
    ),
    Metric(
        name="models_stale",
        title="Models stale",
        help="Models of acceptance whose served version is older than an erasure. No data: none is served.",
        unit=Unit.COUNT,
        read=models_stale,
    ),
    Metric(
        name="interactions",
        title="Interactions",
        help="Interactions that happened in the window.",
        unit=Unit.COUNT,
        read=interactions,
        longest=_DAY,
    ),
    Metric(
        name="acceptance_rate",
        title="Acceptance rate",
        help="Clicks for 100 impressions in the window. No data: there was no impression.",
        unit=Unit.PERCENT,
        read=acceptance,
        longest=_DAY,
    ),
    Metric(
        name="conversion_rate",
        title="Conversion rate",
        help="Conversions for 100 clicks in the window. No data: there was no click.",
        unit=Unit.PERCENT,
        read=conversion,
        longest=_DAY,
    ),
)
