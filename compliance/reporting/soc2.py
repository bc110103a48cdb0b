"""Evidence for an examination under the Trust Services Criteria (AICPA TSP section 100): control by control, how often
what the product does was done in the period, and at which positions of the log that stands.

A count of 0 is told as such. Evidence is not an opinion: whether a control works is for the auditor to say.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Avg, Count, F, Q, Sum

from compliance.alerting.figures import MOST_COUNTED
from compliance.models import AlertRule, Disposition, SecuritySignal
from compliance.reporting import counting, log_facts
from compliance.reporting.document import Cell, Section, Table, moment
from compliance.reporting.log_facts import Change, Line, Told
from compliance.reporting.templates import Asked, Template, register
from kaireon.approvals.models import ApprovalRequest, ApprovalVote
from kaireon.approvals.models import State as ApprovalState
from kaireon.tenancy.roles import Permission


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One line under a control. `actions` and `entity_types`: what it wants to know of the log.

    `read` gets the lines of the log that any evidence wants; the text, if any, stands beside the count.
    """

    title: str
    read: Callable[[Asked, Collection[Line]], tuple[int, Told, str]]
    actions: frozenset[str] = frozenset()
    entity_types: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Control:
    """One or more criteria, by their numbers, and what they are about in our words."""

    code: str
    title: str
    about: str

    @property
    def heading(self) -> str:
        return f"{self.code} {self.title}"


CONTROLS = {
    control.code: control
    for control in (
        Control(
            code="CC6.1",
            title="Logical access",
            about="Who signs in, with which keys; what was refused.",
        ),
        Control(
            code="CC6.2, CC6.3",
            title="Access is granted, changed and taken away",
            about="Memberships of the tenant and their roles.",
        ),
        Control(
            code="CC7.2",
            title="Anomalies are watched for",
            about="Signals of the scan of the log, alerts over figures, verifications of the log.",
        ),
        Control(
            code="CC7.3, CC7.4",
            title="Events are evaluated and answered",
            about="Signals and alerts that somebody took on, what was told to whom, what was resolved.",
        ),
        Control(
            code="CC8.1",
            title="Changes are authorised",
            about="Requests for a second person's yes, and changes of what is declared.",
        ),
        Control(
            code="C1.2",
            title="Confidential data is disposed of",
            about="Rows disposed of by retention, erasures of subjects, files removed from storage.",
        ),
        Control(
            code="P4.3, P5.1, P5.2, P8.1",
            title="Personal data: access, correction, deletion",
            about="Requests of data subjects from receipt to answer, and recipients who were told.",
        ),
        Control(
            code="A1.2",
            title="Recovery and scheduled work",
            about="Jobs that ran, checks after a restore, what was shipped and exported.",
        ),
    )
}
EVIDENCE: dict[str, list[Evidence]] = {code: [] for code in CONTROLS}


def add(control: str, *evidence: Evidence) -> None:
    """Put these under a control. Raises KeyError when there is no such control."""
    EVIDENCE[control].extend(evidence)


def verbs(title: str, *actions: str) -> Evidence:
    """Records with one of these verbs."""

    def read(_: Asked, found: Collection[Line]) -> tuple[int, Told, str]:
        told = log_facts.together(line.told for line in found if line.action in actions)
        return told.count, told, ""

    return Evidence(title=title, read=read, actions=frozenset(actions))


def rows(title: str, entity_type: str, *changes: Change) -> Evidence:
    """Records of rows of this type that came, changed or went, whatever their verb."""

    def read(_: Asked, found: Collection[Line]) -> tuple[int, Told, str]:
        told = log_facts.together(
            line.told for line in found if line.entity_type == entity_type and line.change in changes
        )
        return told.count, told, ""

    return Evidence(title=title, read=read, entity_types=frozenset([entity_type]))


def counted(title: str, read: Callable[[Asked], tuple[int, str]], *, made: str = "") -> Evidence:
    """What is counted elsewhere than in the log, with what is to be said of it; `made`: the type of its records."""

    def reading(asked: Asked, found: Collection[Line]) -> tuple[int, Told, str]:
        number, note = read(asked)
        of_type = (line.told for line in found if line.entity_type == made and line.change is Change.CREATED)
        return number, log_facts.together(of_type), note

    return Evidence(title=title, read=reading, entity_types=frozenset([made] if made else []))


def told(asked: Asked) -> list[Line]:
    """All that any evidence wants of the log, in one query."""
    every = [one for lines in EVIDENCE.values() for one in lines]
    return log_facts.lines(
        asked,
        actions=frozenset().union(*(one.actions for one in every)),
        entity_types=frozenset().union(*(one.entity_types for one in every)),
    )


def failed_sign_ins(asked: Asked) -> tuple[int, str]:
    """Of accounts of the tenant's members: who could not sign in is in the platform's log."""
    with connection.cursor() as cursor:
        # It leaves out its first moment and counts its last.
        step = timedelta(microseconds=1)
        cursor.execute("SELECT public.sign_in_failures(%s, %s)", [asked.period.start - step, asked.period.end - step])
        found = int(cursor.fetchone()[0])
    return found, "counted to here and no further" if found >= MOST_COUNTED else "of members' accounts"


def signals(asked: Asked) -> tuple[int, str]:
    found = counting.within(SecuritySignal.objects.order_by(), "raised_at", asked).aggregate(
        n=Count("pk"),
        paged=Count("pk", filter=Q(severity="page")),
        taken=Avg(F("acknowledged_at") - F("raised_at"), filter=Q(acknowledged_at__isnull=False)),
    )
    hours = (
        "" if found["taken"] is None else f"; taken on after {found['taken'].total_seconds() / 3600:,.1f} h on average"
    )
    return found["n"], f"{found['paged']} to wake somebody{hours}" if found["n"] else ""


def unanswered_signals(asked: Asked) -> tuple[int, str]:
    found = counting.within(SecuritySignal.objects.open().order_by(), "raised_at", asked).count()
    return found, "raised in the period, and open when the report is made"


def rules(asked: Asked) -> tuple[int, str]:
    return AlertRule.objects.watched().count(), f"at {moment(asked.now, asked.zone)}"


def approvals(*states: str) -> Callable[[Asked], tuple[int, str]]:
    """Requests of the period that are in one of these states now."""

    def read(asked: Asked) -> tuple[int, str]:
        found = asked.once(_approvals)
        return sum(found.get(state, 0) for state in states), ""

    return read


def _approvals(asked: Asked) -> dict[str, int]:
    found = counting.within(ApprovalRequest.objects.order_by(), "requested_at", asked)
    return dict(found.values_list("state").annotate(Count("pk")))


def four_eyes(asked: Asked) -> tuple[int, str]:
    """Approved requests of the period that somebody said yes to who had not asked, themselves or through a key."""
    applied = counting.within(ApprovalRequest.objects.order_by(), "requested_at", asked).filter(
        state=ApprovalState.APPROVED
    )
    by_another = ApprovalVote.objects.filter(request__in=applied, answer="approve").exclude(
        Q(member_id=F("request__requested_by")) | Q(member_id=F("request__requested_for"))
    )
    return by_another.values("request").distinct().count(), "of those approved"


def disposed(asked: Asked) -> tuple[int, str]:
    gone = counting.within(Disposition.objects.order_by(), "last_at", asked).aggregate(n=Sum("rows"), runs=Count("pk"))
    return gone["n"] or 0, f"in {gone['runs']} dispositions" if gone["runs"] else ""


def summary(asked: Asked) -> str:
    found = [one.read(asked, asked.once(told))[0] for lines in EVIDENCE.values() for one in lines]
    return (
        f"{len(CONTROLS)} groups of controls, {len(found)} kinds of evidence;"
        f" {sum(bool(number) for number in found)} of them have something in this period."
        " A count of 0 says that nothing of the kind was recorded. Positions are those of the audit log, where each"
        " record is proved by itself."
    )


def _section(control: Control) -> Callable[[Asked], Section]:
    def make(asked: Asked) -> Section:
        return Section(
            title=control.heading,
            note=control.about,
            tables=(
                Table(
                    title="Evidence",
                    columns=("What", "Count", "Positions in the log", "Last", "Note"),
                    rows=tuple(_row(one, asked) for one in EVIDENCE[control.code]),
                ),
            ),
        )

    return make


def _row(one: Evidence, asked: Asked) -> tuple[Cell, ...]:
    number, there, note = one.read(asked, asked.once(told))
    return one.title, number, there.positions, moment(there.at, asked.zone) if there.at else "", note


add(
    "CC6.1",
    verbs("Sign-ins", "auth.login"),
    counted("Failed sign-ins", failed_sign_ins),
    verbs("Access refused", "access.refused"),
    rows("API keys made", "ApiKey", Change.CREATED),
    rows("API keys changed or ended", "ApiKey", Change.CHANGED, Change.REMOVED),
    verbs("Looks at personal values in clear", "personal.view", "audit_log.reveal"),
)
add(
    "CC6.2, CC6.3",
    rows("Memberships granted", "Membership", Change.CREATED),
    rows("Roles changed", "Membership", Change.CHANGED),
    rows("Memberships ended", "Membership", Change.REMOVED),
)
add(
    "CC7.2",
    counted("Signals raised by the scan of the log", signals, made="SecuritySignal"),
    counted("Alert rules in force", rules),
    verbs("Alerts fired", "alert.firing"),
    verbs("Alerts without data", "alert.no_data"),
    verbs("Verifications of the log", "audit_log.verify"),
)
add(
    "CC7.3, CC7.4",
    verbs("Signals taken on", "security.signal.acknowledged"),
    counted("Signals that nobody took on", unanswered_signals),
    verbs("Alerts taken on", "alert.acknowledge"),
    verbs("People told of alerts", "alert.told"),
    verbs("People who could not be told", "alert.not_told"),
    verbs("Alerts resolved", "alert.resolved"),
)
add(
    "CC8.1",
    counted("Requests for a second person's yes", approvals(*ApprovalState.values), made="ApprovalRequest"),
    counted("Approved", approvals(ApprovalState.APPROVED)),
    counted("Approved by somebody else than who asked", four_eyes),
    counted("Rejected", approvals(ApprovalState.REJECTED)),
    counted("Expired or cancelled", approvals(ApprovalState.EXPIRED, ApprovalState.CANCELLED)),
    rows("Decisions about retention", "PolicyVersion", Change.CREATED),
    rows("Changes of alert rules", "AlertRule", *(Change.CREATED, Change.CHANGED, Change.REMOVED)),
    verbs("Differences from what is declared, found", "config.drift_found", "config.drift_changed"),
    verbs("Differences resolved", "config.drift_resolved"),
)
add(
    "C1.2",
    counted("Rows disposed of by retention", disposed),
    verbs("Purges", "retention.purge"),
    verbs("Plans of purges applied", "retention.plan.applied"),
    verbs("Erasures completed", "dsar.erasure.completed"),
    verbs("Objects removed from storage", "object.removed"),
    rows("Certificates of erasure", "Certificate", Change.CREATED),
    verbs("Prefixes of the log archived", "audit_log.prune"),
)
add(
    "P4.3, P5.1, P5.2, P8.1",
    rows("Requests filed", "DsarRequest", Change.CREATED),
    verbs("Identities proven", "dsar.identity.proved"),
    verbs("Packages made", "dsar.export.completed"),
    verbs("Packages handed out", "dsar.export.downloaded"),
    verbs("Opt-outs carried out", "dsar.opt_out.completed"),
    verbs("Erasures completed", "dsar.erasure.completed"),
    verbs("Requests rejected", "dsar.reject"),
    verbs("Recipients of the data told", "dsar.recipient.told"),
)
add(
    "A1.2",
    verbs("Checks after a restore", "restore.checked"),
    verbs("Restores acknowledged", "audit_log.restored"),
    verbs("Exports of interactions", "interactions.exported"),
    verbs("Exports of the log", "audit_log.export"),
)


register(
    Template(
        name="soc2_evidence",
        title="SOC 2 evidence",
        help="Evidence for the Trust Services Criteria that the product can show: counts, and positions in the log.",
        permission=Permission.READ_AUDIT,
        summary=summary,
        sections={control.heading: _section(control) for control in CONTROLS.values()},
    )
)
