"""The log's pages in the admin, and what they show."""

import html
import re

from django.test import Client

from audit.models import AuditRecord
from kaireon.tenancy.context import transaction
from kaireon.tenancy.models import ApiKey
from tests.admin.conftest import SignIn, sign_in  # noqa: F401
from tests.audit.log import records
from tests.cast import ACME, ADA

LOG = "/admin/audit/auditrecord/"


def numbers(client: Client, **asked: str) -> list[int]:
    """The numbers of the records that a search lists."""
    answer = client.get(LOG, asked)
    assert answer.status_code == 200
    return [int(n) for n in re.findall(r"<th scope=\"row\"><a [^>]+>#(\d+)</a>", answer.content.decode())]


def links(client: Client, path: str) -> dict[str, str]:
    page = client.get(path).content.decode()
    found = re.findall(r'<a class="k-button" href="([^"]+)"[^>]*>(Newest|Newer|Older)</a>', page)
    return {name: LOG + html.unescape(address) for address, name in found}


def rename(name: str, request_id: str, prefix: str = "vi") -> AuditRecord:
    """Ada renames a key; gives the record of it."""
    with ADA.here(request_id), transaction():
        ApiKey.objects.filter(prefix=prefix).update(name=name)
    return records(ACME, request_id=request_id)[-1]


def shown(client: Client, record: AuditRecord) -> str:
    answer = client.get(f"{LOG}{record.pk}/change/")
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())
