"""The kinds of requests: what officers call them, which job answers one, and which a person works on."""

from dataclasses import dataclass

from dsar.models import DsarRequest, RequestType


@dataclass(frozen=True, kw_only=True)
class Kind:
    """`job_type` answers it; without one a person does. `failed_verb` records that the job gave up."""

    title: str
    job_type: str = ""
    failed_verb: str = ""
    has_package: bool = False

    @property
    def by_person(self) -> bool:
        return not self.job_type


KINDS: dict[str, Kind] = {
    RequestType.EXPORT: Kind(
        title="Access", job_type="dsar_export", failed_verb="dsar.export.failed", has_package=True
    ),
    # Answered as an export is; which rows belong to it is the dossier's matter.
    RequestType.PORTABILITY: Kind(
        title="Portability", job_type="dsar_export", failed_verb="dsar.export.failed", has_package=True
    ),
    RequestType.DELETE: Kind(title="Erasure", job_type="dsar_erasure", failed_verb="dsar.erasure.failed"),
    RequestType.OPT_OUT: Kind(title="Opt-out", job_type="dsar_opt_out", failed_verb="dsar.opt_out.failed"),
    RequestType.RECTIFICATION: Kind(title="Rectification"),
    RequestType.RESTRICTION: Kind(title="Restriction"),
    RequestType.OBJECTION: Kind(title="Objection"),
    RequestType.GRIEVANCE: Kind(title="Grievance"),
}

WITH_PACKAGE: tuple[str, ...] = tuple(name for name, kind in KINDS.items() if kind.has_package)
BY_PERSON: tuple[str, ...] = tuple(name for name, kind in KINDS.items() if kind.by_person)
# Their counts say what ended contact with the subject.
ENDING_CONTACT: tuple[str, ...] = (RequestType.OPT_OUT, RequestType.OBJECTION)


def title_of(row: DsarRequest) -> str:
    """What officers call it: an export answers an access request."""
    return KINDS[row.request_type].title
