"""What subjects asked for, and what answered them."""

from dsar.models.certificate import Certificate
from dsar.models.dossier import Dossier
from dsar.models.erasure_plan import ErasurePlan, Subject
from dsar.models.request import DsarRequest, Outcome, RequestType, State, Status, SubjectType

__all__ = [
    "Certificate",
    "Dossier",
    "DsarRequest",
    "ErasurePlan",
    "Outcome",
    "RequestType",
    "State",
    "Status",
    "Subject",
    "SubjectType",
]
