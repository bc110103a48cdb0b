"""What was published of a log, against what the database has of it: whether checkpoints were lost.

Nothing but the database publishes, and only what it has committed. So an object that it knows nothing of comes from a
later state of it. Names sort by restore and size (publication.object_name): one look behind the last known name tells.
"""

from dataclasses import dataclass

from audit.models import Channel, Checkpoint, Publication, Restore
from audit.tree import notes, publication, signing
from kaireon.api import written_once
from kaireon.tenancy.context import current, requires_transaction, transaction, without_transaction


class LogIsOlder(RuntimeError):
    """More was published of this log than the database has: it is an older one. manage.py compliance_restore_check."""


class NotTheLogs(ValueError):
    """A published object is no checkpoint of this log that a known key signed. The message names it and says why."""


@dataclass(frozen=True)
class Lost:
    """The newest checkpoint that was published and that the database does not have, and how many there are."""

    name: str
    size: int
    root: bytes
    note: str
    count: int


def folder() -> str:
    return f"checkpoints/{current().tenant_id}"


@requires_transaction
def last_known() -> str:
    """The greatest name in the log's folder that the database knows; "" for none."""
    tenant = current().tenant_id
    stored = Publication.objects.filter(tenant_id=tenant, channel=Channel.STORAGE)
    newest = stored.order_by("-tree_size").values_list("object_name", flat=True).first() or ""
    restored = Restore.objects.filter(tenant_id=tenant).order_by("-number").values_list("lost_name", flat=True).first()
    return max(newest.rpartition("/")[2], restored or "")


@requires_transaction
def claimed(names: list[str]) -> dict[str, str]:
    """Of names behind the last known one, what the object of each must say; "" where there is no such checkpoint.

    One that there is may have gone out a moment ago: the row that says so comes after the object.
    """
    last = last_known()
    named = {name: place for name in names if name > last and (place := publication.place_of(name)) is not None}
    sizes = [size for _, size in named.values()]
    rows = Checkpoint.objects.filter(tenant_id=current().tenant_id, tree_size__in=sizes)
    made = dict(rows.values_list("tree_size", "note"))
    restores = publication.restores()
    return {name: made.get(size, "") if place == restores else "" for name, (place, size) in named.items()}


@without_transaction
def lost_names() -> list[str]:
    """The names of what the active scope's log lost. Raises what the storage raises."""
    with transaction():
        after = last_known()
    names = written_once.names_after(folder(), after)
    if not names:
        return []
    with transaction():
        notes_of = claimed(names)
    # Where the database made another one of this size it is as lost as if it had made none. A part is only begun.
    return [name for name, note in notes_of.items() if not (note and note.encode().startswith(_content(name, note)))]


def _content(name: str, note: str) -> bytes:
    return written_once.read(f"{folder()}/{name}", len(note.encode()) + 1) or b""


@without_transaction
def lost(*, trusted: list[notes.PublicKey]) -> Lost | None:
    """The newest that the active scope's log lost, its signature checked by the log's keys or one that is trusted here.

    Raises NotTheLogs, and what the storage raises.
    """
    names = lost_names()
    if not names:
        return None
    with transaction():
        keys = [*signing.trusted(current().tenant_id), *trusted]
        origin = signing.origin(current().tenant_id)
    name = f"{folder()}/{names[-1]}"
    content = written_once.read(name) or b""
    try:
        note = notes.Note.parse(content.decode())
        checkpoint = notes.Checkpoint.parse(note.text)
    except (UnicodeDecodeError, notes.BadNote) as error:
        raise NotTheLogs(f"{name} is no checkpoint: {error}") from error
    place = publication.place_of(names[-1])
    if checkpoint.origin != origin or place is None or place[1] != checkpoint.size:
        raise NotTheLogs(f"{name} is a checkpoint of something else")
    if not any(_signed_by(note, key) for key in keys):
        raise NotTheLogs(f"{name} was signed by none of the log's keys that are known here")
    return Lost(names[-1], checkpoint.size, checkpoint.root, content.decode(), len(names))


def _signed_by(note: notes.Note, key: notes.PublicKey) -> bool:
    try:
        note.check(key)
    except (notes.NotSigned, notes.BadNote):
        return False
    return True
