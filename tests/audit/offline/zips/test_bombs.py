"""Zips that would unpack to more than anybody has."""

import struct

import pytest

from audit.offline import kaireon_verify
from tests.audit.offline.bundle import zipped
from tests.audit.offline.zips.crafted import central_of, local_of, patched


def test_a_bomb_by_what_it_declares(content, check_broken):
    """Ten gigabytes out of a few kilobytes, in the ZIP64 way."""
    name = "records.ndjson"
    start, central = local_of(content, name), central_of(content, name)
    wide = struct.pack("<2HQ", 1, 8, 10 << 30)
    changed = content[:central]
    changed = patched(changed, start + 22, "<L", 0xFFFFFFFF)
    entry = patched(content[central : central + 46], 24, "<L", 0xFFFFFFFF)
    entry = patched(entry, 30, "<H", len(wide))
    changed += entry + name.encode() + wide + content[central + 46 + len(name) :]
    end = len(changed) - 22
    changed = patched(changed, end + 12, "<L", struct.unpack_from("<L", changed, end + 12)[0] + len(wide))

    broken = check_broken(changed)
    assert (broken.file, broken.reason) == (name, "unsafe_zip")
    assert "250 times" in broken.message


@pytest.mark.parametrize("name", ["manifest.json", "proofs.json", "README.txt"])
def test_a_bomb_among_the_small_files(files, check_broken, name):
    broken = check_broken(zipped({**files, name: b" " * (40 << 20)}))

    assert (broken.file, broken.reason) == (name, "unsafe_zip")
    assert "larger" in broken.message


def test_a_bomb_that_declares_little(files, check_broken, monkeypatch):
    """It is not unpacked beyond what it declares."""
    content = zipped({**files, "records.ndjson": bytes(64 << 20)})
    changed = content
    for place in (local_of(content, "records.ndjson") + 22, central_of(content, "records.ndjson") + 24):
        changed = patched(changed, place, "<L", 10_000)
    pieces = []
    unpacked = kaireon_verify.Archive._unpacked

    def counted(self, member):
        for piece in unpacked(self, member):
            pieces.append(len(piece) if member.name == "records.ndjson" else 0)
            yield piece

    monkeypatch.setattr(kaireon_verify.Archive, "_unpacked", counted)
    broken = check_broken(changed)
    assert (broken.file, broken.reason) == ("records.ndjson", "unsafe_zip")
    assert sum(pieces) <= 2 << 20
