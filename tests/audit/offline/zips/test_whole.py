"""Zips that are cut, that others stand around, or that are no bundle."""

import io
import random

import pytest

from audit.offline import kaireon_verify
from audit.offline.kaireon_verify import Broken, NothingToSay
from tests.audit.offline.bundle import zipped
from tests.audit.offline.zips.crafted import archived


def test_a_zip_cut_anywhere_is_nothing(content):
    for end in {*range(4, 64), *random.Random(4).sample(range(64, len(content)), 300), len(content) - 1}:
        with pytest.raises(NothingToSay, match="not a whole zip"):
            kaireon_verify.check(io.BytesIO(content[:end]))


@pytest.mark.parametrize("more", [b"\x00", b"PK\x05\x06" + bytes(17), b"x" * 70_000])
def test_something_behind_or_before_the_zip(content, more):
    with pytest.raises(NothingToSay):
        kaireon_verify.check(io.BytesIO(content + more))
    with pytest.raises((NothingToSay, Broken)):
        kaireon_verify.check(io.BytesIO(content[:4] + more + content))


def test_another_zip_behind_the_zip(content, files):
    """Readers differ in which of the two they see."""
    for two in (content + zipped({"manifest.json": b"{}"}), zipped({"manifest.json": b"{}"}) + content):
        with pytest.raises((NothingToSay, Broken)):
            kaireon_verify.check(io.BytesIO(two))


def test_a_zip_with_a_comment(files):
    def write(archive):
        for name, content in files.items():
            archive.writestr(name, content)
        archive.comment = b"PK\x05\x06" + bytes(18)

    with pytest.raises(NothingToSay):
        kaireon_verify.check(io.BytesIO(archived(write)))


def test_another_zip_is_not_a_bundle(files):
    for other in ({}, {"report.txt": b"hello"}, {n: c for n, c in files.items() if n != "manifest.json"}):
        with pytest.raises(NothingToSay):
            kaireon_verify.check(io.BytesIO(zipped(other)))
    for manifest in (b"", b"{}", b"[]", b"nonsense", b'{"format":"kaireon-evidence-2"}', b"\xff", b"[" * 9999):
        with pytest.raises(NothingToSay, match="manifest"):
            kaireon_verify.check(io.BytesIO(zipped({**files, "manifest.json": manifest})))


def test_too_many_files(files):
    many = zipped({**files, **{f"{n:0200}": b"" for n in range(400)}})
    with pytest.raises(NothingToSay, match="too many"):
        kaireon_verify.check(io.BytesIO(many))
