"""What happened, and what is needed to prove it: one noun a file."""

from audit.models.checkpoint import Channel, Checkpoint, Publication, Tile
from audit.models.export import AuditExport, ExportStatus
from audit.models.following import Cursor
from audit.models.key import SigningKey, SubjectKey, TenantKey
from audit.models.record import ActorType, Arrival, AuditHead, AuditInbox, AuditRecord, AuditRecordQuerySet
from audit.models.restore import Incarnation, Restore
from audit.models.shipping import ShippingReceipt, SiemBackend, SiemDestination, Unshippable
from audit.models.tombstone import Tombstone
from audit.models.verification import VerificationKind, VerificationRun, VerificationState
from audit.models.witness import Cosignature, WitnessedLog

__all__ = [
    "ActorType",
    "Arrival",
    "AuditExport",
    "AuditHead",
    "AuditInbox",
    "AuditRecord",
    "AuditRecordQuerySet",
    "Channel",
    "Checkpoint",
    "Cosignature",
    "Cursor",
    "ExportStatus",
    "Incarnation",
    "Publication",
    "Restore",
    "ShippingReceipt",
    "SiemBackend",
    "SiemDestination",
    "SigningKey",
    "SubjectKey",
    "TenantKey",
    "Tile",
    "Tombstone",
    "Unshippable",
    "VerificationKind",
    "VerificationRun",
    "VerificationState",
    "WitnessedLog",
]
