"""How a hold reaches the rows of each guarded table: what names their person, what dates them, what may be asked."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scope:
    """`entity` is the wire name; `clock` and `subject` are columns, empty where rows have none.

    `moves`: the clock says when a row was last in use and goes forward with it. A hold's end then limits nothing, or
    ordinary use would take the row out of the hold. `columns` are what a saved query may ask for: facts, no personal
    value; of `documents`, whether a key is in them.
    """

    entity: str
    clock: str
    subject: str = "customer_id"
    moves: bool = False
    columns: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()

    @property
    def arguments(self) -> tuple[str, str, str, str]:
        return self.entity, self.clock, self.subject, "moves" if self.moves else ""

    @property
    def asked(self) -> tuple[str, ...]:
        return *self.columns, *self.documents


# By table. A change here wants its triggers made anew: a test compares them.
SCOPES: dict[str, Scope] = {
    "customers_interaction": Scope(
        entity="interactionHistory",
        clock="occurred_at",
        columns=("kind", "channel", "offer", "currency", "amount", "quantity", "created_at"),
        documents=("context",),
    ),
    "customers_decisiontrace": Scope(
        entity="decisionTrace",
        clock="decided_at",
        columns=("decision", "channel", "outcome", "model_version", "score", "created_at"),
        documents=("inputs",),
    ),
    "customers_interactionsummary": Scope(
        entity="interactionSummary", clock="period_end", columns=("kind", "channel", "currency", "period_start")
    ),
    "customers_engagementhealth": Scope(entity="engagementHealth", clock="period_end", moves=True),
    "customers_attributionresult": Scope(
        entity="attributionResult", clock="recorded_at", columns=("method", "channel", "currency")
    ),
    "customers_variantassignment": Scope(
        entity="variantAssignment", clock="recorded_at", columns=("experiment", "variant")
    ),
    "customers_journeyenrollment": Scope(
        entity="journeyEnrollment", clock="ended_at", columns=("journey", "entered_at")
    ),
    "customers_delivery": Scope(entity="delivery", clock="sent_at", columns=("channel", "template")),
    "customers_attachment": Scope(entity="attachment", clock="uploaded_at", columns=("content_type", "size")),
    "customers_dynamicrow": Scope(
        entity="dynamicSchemaRows", clock="clock_at", columns=("schema_id", "created_at"), documents=("data",)
    ),
    "customers_suppression": Scope(entity="suppression", clock="expires_at", columns=("channel", "created_at")),
    # Whose they are stands in a keyed hash only: a hold of subjects does not find them, one of everybody does.
    "customers_suppressiontombstone": Scope(entity="suppressionTombstone", clock="expires_at", subject=""),
    "customers_consentrecord": Scope(
        entity="consentRecord", clock="withdrawn_at", columns=("channel", "purpose", "policy_version", "recorded_at")
    ),
    "outbox_payload": Scope(entity="outboxPayload", clock="finished_at", subject="subject_ref"),
    "outbox_archivekey": Scope(entity="archivedDeadLetter", clock="archived_at", subject="subject_ref"),
    "dsar_lettertext": Scope(entity="letterText", clock="settled_at", subject="customer_ref"),
    "dsar_publicfiling": Scope(entity="publicFiling", clock="ends_at", subject="subject_ref"),
    "dsar_dossier": Scope(entity="dossier", clock="expires_at", subject="customer_ref", columns=("created_at",)),
    "dsar_dsarrequest": Scope(
        entity="dsarRequest",
        clock="closed_at",
        subject="customer_ref",
        columns=("request_type", "regulation", "received_at"),
    ),
    "customers_identitylink": Scope(entity="identityLink", clock="last_seen_at", moves=True, columns=("kind",)),
    "customers_customer": Scope(
        entity="customer",
        clock="last_activity_at",
        subject="id",
        moves=True,
        columns=("country", "language", "created_at"),
        documents=("attributes",),
    ),
    "flows_flowcheckpoint": Scope(entity="flowCheckpoint", clock="finished_at", subject=""),
    "compliance_securitysignal": Scope(
        entity="securitySignal", clock="raised_at", subject="", columns=("kind", "severity", "occurred_at")
    ),
    "flows_flowrun": Scope(entity="flowRun", clock="finished_at", subject=""),
}

# The key under which the log keeps a person's values; it has no clock.
SUBJECT_KEY = Scope(entity="subjectKey", clock="", subject="subject_id")


def by_entity(name: str) -> Scope | None:
    return next((scope for scope in SCOPES.values() if scope.entity == name), None)
