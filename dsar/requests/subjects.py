"""Who a request is about: names in one spelling, keys to find requests by, and the customer behind a name."""

import re
import unicodedata
from collections.abc import Iterable
from uuid import UUID

from customers import naming
from customers.models import Customer, IdentityLink
from customers.models.customer import IdentityKind, normal_email
from customers.subjects import email_key, number_key, number_keys
from dsar.models import DsarRequest, SubjectType
from kaireon.lib.masking import KeyedHash, keyed_hashes
from kaireon.tenancy import context
from kaireon.tenancy.kept import Kept, among
from kaireon.tenancy.keyring import keyring

MOST_CHARACTERS = 254
_PURPOSE = "dsar subject"
_PSEUDONYM = re.compile(r"(erased-v[0-9]+-[0-9a-f]{32})(-[0-9]+)?")
# A number that comes back and is erased again, each time under hold, leaves one remnant more.
_MOST_REMNANTS = 50
_MOST_AT_ADDRESS = 100


_CUSTOMER = Kept(lambda customer: Customer.objects.filter(pk=customer), customer=UUID)
_CALLED = Kept(
    lambda numbers: Customer.objects.filter(among("customers_customer.customer_id", numbers)).order_by("customer_id"),
    numbers=list,
)


class SubjectRefused(ValueError):
    """The text names nobody. The message says what would, and never repeats it."""


class AmbiguousSubject(LookupError):
    """Several customers share this e-mail address: ask by customer number, so that nobody gets another's data."""


def normal(subject_type: str, subject_id: str) -> str:
    """One spelling of a subject's name. Raises SubjectRefused."""
    text = unicodedata.normalize("NFC", subject_id.strip())
    if not 1 <= len(text) <= MOST_CHARACTERS:
        raise SubjectRefused(f"must have 1 to {MOST_CHARACTERS} characters.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise SubjectRefused("may not hold control characters.")
    if subject_type == SubjectType.EMAIL:
        local, _, domain = text.rpartition("@")
        if not local or not domain or any(character.isspace() for character in text):
            raise SubjectRefused("must be an e-mail address when subjectType is email.")
        return normal_email(text)
    return text


def key(subject_type: str, subject_id: str) -> str:
    """The key a request is found by, under the newest master key; `subject_id` in its normal spelling."""
    hashed = KeyedHash(keyring=keyring(), tenant_id=context.tenant_id(), purpose=_PURPOSE)
    return hashed(f"{subject_type}:{subject_id}")


def keys(subject_type: str, subject_id: str) -> list[str]:
    """The same under every master key, for looking up."""
    name = f"{subject_type}:{subject_id}"
    return keyed_hashes(name, keyring=keyring(), tenant_id=context.tenant_id(), purpose=_PURPOSE)


def keys_of(customer: Customer, links: Iterable[IdentityLink] | None = None) -> list[str]:
    """Every key under which a request about this customer may have been filed.

    `links`: their identities, if they are known, among others'.
    """
    emails = {customer.email} if customer.email else set()
    for link in naming.links_of([customer]) if links is None else links:
        if link.customer_id == customer.pk and link.kind == IdentityKind.EMAIL:
            emails.add(link.value)
    found = keys(SubjectType.CUSTOMER_ID, customer.customer_id)
    for email in emails:
        found += keys(SubjectType.EMAIL, email)
    return found


def resolve(subject_type: str, subject_id: str) -> Customer | None:
    """The customer a name means: by number, or by e-mail address in a profile or an identity link.

    None when there is nobody; raises AmbiguousSubject when there are several. The number also finds what an earlier
    erasure had to leave of a customer, so that the rest can follow.
    """
    name = normal(subject_type, subject_id)
    if subject_type == SubjectType.CUSTOMER_ID:
        numbers = [name, *_remnant_numbers(name)]
        found = {customer.customer_id: customer for customer in Customer.objects.filter(customer_id__in=numbers)}
        return next((found[number] for number in numbers if number in found), None)
    ids = _refs_at(name, most=3)
    if len(ids) > 1:
        raise AmbiguousSubject
    return Customer.objects.filter(pk__in=ids).first()


def refs_at(address: str) -> set[UUID]:
    """Our ids of the customers whose address this is, in the profile or by an identity link; of very many only some."""
    return _refs_at(normal(SubjectType.EMAIL, address), most=_MOST_AT_ADDRESS)


def _refs_at(email: str, *, most: int) -> set[UUID]:
    ids: set[UUID] = set(Customer.objects.at_address(email).values_list("pk", flat=True)[:most])
    links = IdentityLink.objects.resolving(IdentityKind.EMAIL, email).values_list("customer_id", flat=True)
    return ids | set(links[:most])


def has_address(customer: Customer, address: str) -> bool:
    """Whether this address is the customer's, in the profile or by an identity link."""
    email = normal(SubjectType.EMAIL, address)
    links = IdentityLink.objects.resolving(IdentityKind.EMAIL, email).filter(customer=customer)
    return customer.email == email or links.exists()


def customer_of(request: DsarRequest) -> Customer | None:
    """The customer a request is about: as resolved when it was filed, or else now. Raises AmbiguousSubject."""
    known = _CUSTOMER.first(customer=request.customer_ref) if request.customer_ref else None
    if known is not None or request.is_shredded:
        return known
    return resolve(request.subject_type, request.subject_id)


def pseudonym(customer: Customer) -> str:
    """What stands in the subject's place after an erasure; equal for equal numbers, and names nobody."""
    known = _PSEUDONYM.fullmatch(customer.customer_id) if is_remnant(customer) else None
    return known.group(1) if known else _pseudonym(number_key(customer.customer_id))


def pseudonym_of(request: DsarRequest) -> str:
    """The same for a request, also where nobody was found by its name; of a shredded one what is left there."""
    if request.pseudonym or request.is_shredded:
        return request.pseudonym
    name = request.subject_id
    return _pseudonym(email_key(name) if request.subject_type == SubjectType.EMAIL else number_key(name))


def remnants_beside(customer: Customer) -> list[Customer]:
    """What earlier erasures had to leave of a customer whose number came back since."""
    numbers = _spellings(pseudonym(customer)) if is_remnant(customer) else _remnant_numbers(customer.customer_id)
    return [remnant for remnant in _CALLED.all(numbers=numbers) if remnant.pk != customer.pk]


def remnant_number(customer: Customer) -> str:
    """The number under which what has to stay of a customer stays: the pseudonym, numbered when there are several."""
    if is_remnant(customer):
        return customer.customer_id
    numbers = _spellings(pseudonym(customer))
    taken = set(Customer.objects.filter(customer_id__in=numbers).values_list("customer_id", flat=True))
    return next((number for number in numbers if number not in taken), numbers[-1])


def is_remnant(customer: Customer) -> bool:
    """Whether this is what an erasure left of a customer, for the sake of rows that had to stay."""
    return _PSEUDONYM.fullmatch(customer.customer_id) is not None and not (customer.email or customer.name)


def _remnant_numbers(number: str) -> list[str]:
    return [spelling for key in number_keys(number) for spelling in _spellings(_pseudonym(key))]


def _spellings(name: str) -> list[str]:
    return [name, *(f"{name}-{n}" for n in range(2, _MOST_REMNANTS + 1))]


def _pseudonym(key: str) -> str:
    version, _, digest = key.partition(":")
    return f"erased-{version}-{digest[:32]}"
