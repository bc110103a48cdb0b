"""Where the subject of a request is written to, and in which language."""

from dsar.letters import words
from dsar.models import DsarRequest, LetterSettings, SubjectType
from dsar.requests import subjects
from kaireon.tenancy.context import requires_transaction


@requires_transaction
def address_of(request: DsarRequest) -> str:
    """The address that the request names, or that the profile of the customer has; empty when none is known."""
    if request.subject_type == SubjectType.EMAIL and not request.is_shredded:
        return request.subject_id
    try:
        customer = subjects.customer_of(request)
    except subjects.AmbiguousSubject:
        return ""
    return customer.email if customer else ""


@requires_transaction
def language_of(request: DsarRequest, settings: LetterSettings) -> str:
    """Of the request, of the customer's profile, or the tenant's."""
    if (asked := words.known(request.language)) is not None:
        return asked
    try:
        customer = subjects.customer_of(request)
    except subjects.AmbiguousSubject:
        customer = None
    return (customer and words.known(customer.language)) or words.known(settings.language) or words.DEFAULT
