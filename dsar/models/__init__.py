"""What subjects asked for, and what answered them."""

from dsar.models.certificate import Certificate
from dsar.models.clock_pause import ClockPause
from dsar.models.demand import Demand, Demanded
from dsar.models.dossier import Dossier
from dsar.models.erasure_entry import ErasureEntry
from dsar.models.erasure_plan import ErasurePlan, Subject
from dsar.models.erasure_search import ErasureSearch
from dsar.models.erasure_step import ErasureStep, Step, StepState
from dsar.models.identity import IdentityCheck
from dsar.models.letter import (
    ANSWERS_TO_ERASURE,
    Letter,
    LetterKind,
    LetterSettings,
    LetterState,
    LetterTemplate,
    LetterText,
)
from dsar.models.public import FollowLink, PublicFiling, PublicPage
from dsar.models.recipient import Effort, NoticeKind, NoticeState, Recipient, RecipientNotice
from dsar.models.request import (
    REPEATED_BY,
    SHREDDED,
    DsarRequest,
    Outcome,
    Proof,
    RequestType,
    State,
    Status,
    SubjectType,
)

__all__ = [
    "ANSWERS_TO_ERASURE",
    "REPEATED_BY",
    "SHREDDED",
    "Certificate",
    "ClockPause",
    "Demand",
    "Demanded",
    "Dossier",
    "DsarRequest",
    "Effort",
    "ErasureEntry",
    "ErasurePlan",
    "ErasureSearch",
    "ErasureStep",
    "FollowLink",
    "IdentityCheck",
    "Letter",
    "LetterKind",
    "LetterSettings",
    "LetterState",
    "LetterTemplate",
    "LetterText",
    "NoticeKind",
    "NoticeState",
    "Outcome",
    "Proof",
    "PublicFiling",
    "PublicPage",
    "Recipient",
    "RecipientNotice",
    "RequestType",
    "State",
    "Status",
    "Step",
    "StepState",
    "Subject",
    "SubjectType",
]
