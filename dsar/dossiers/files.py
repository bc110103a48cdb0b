"""The files of a package: attachments as storage has them while it is sent, under names that every disk takes."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from uuid import UUID

from django.core.files.storage import default_storage

from customers.models import Attachment
from kaireon.tenancy.context import Scope, scope, transaction

FOLDER = "attachments"
_AT_ONCE = 200
_BLOCK_BYTES = 64 * 1024
_LONGEST_NAME = 100
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
# What Windows takes for a device, whatever follows the dot.
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def files(rows: Iterable[dict[str, Any]], *, here: Scope) -> Iterator[tuple[str, str, Iterator[bytes] | None]]:
    """Of each row of the section its id, where its file goes in the package, and its bytes; None when it is gone.

    Read each to its end before the next. Opens transactions of its own, in the scope `here`: the one of the request is
    over by the time that a package is sent.
    """
    waiting = iter(rows)
    while some := list(islice(waiting, _AT_ONCE)):
        stored = _stored([UUID(row["id"]) for row in some], here)
        for row in some:
            place = f"{FOLDER}/{row['id']}/{safe_name(row['name'])}"
            yield row["id"], place, _bytes(stored.get(row["id"], ""))


def safe_name(name: str) -> str:
    """The file's own name without what leads out of its folder or is no name somewhere; never empty."""
    stem, dot, ending = _UNSAFE.sub("_", unicodedata.normalize("NFC", name)).rpartition(".")
    if dot and len(ending) <= 10:
        text = f"{stem[: _LONGEST_NAME - len(ending) - 1]}.{ending}"
    else:
        text = f"{stem}{dot}{ending}"[:_LONGEST_NAME]
    text = "".join(c for c in text if unicodedata.category(c)[0] != "C").strip(". ") or "file"
    return f"_{text}" if _RESERVED.match(text) else text


def _stored(ids: list[UUID], here: Scope) -> dict[str, str]:
    with scope(tenant_id=here.tenant_id, actor=here.actor, request_id=here.request_id), transaction():
        return {str(pk): file for pk, file in Attachment.objects.filter(pk__in=ids).values_list("pk", "file")}


def _bytes(name: str) -> Iterator[bytes] | None:
    if not name:
        # Erased, or purged, since the dossier was made.
        return None
    try:
        file = default_storage.open(name)
    except FileNotFoundError:
        return None
    return _blocks(file)


def _blocks(file: Any) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK_BYTES):
            yield block
