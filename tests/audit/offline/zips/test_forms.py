"""The forms in which honest writers leave a zip."""

import io
import struct
import zipfile

import pytest

from audit.offline import kaireon_verify
from audit.offline.kaireon_verify import Broken, NothingToSay
from tests.audit.offline.zips.crafted import patched


class OneWay(io.RawIOBase):
    """A file that can only be written on, as a response is."""

    def __init__(self):
        self.written = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.written += data
        return len(data)


def test_a_zip_that_was_written_in_one_go(files, check, check_broken):
    """Sizes stand behind the data."""
    stream = OneWay()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    content = bytes(stream.written)
    assert check(content).level == "embedded"

    behind = content.index(b"PK\x07\x08")
    for place in (0, 4, 8, 12):
        assert check_broken(patched(content, behind + place, "<L", 77)).reason == "unsafe_zip"


@pytest.mark.parametrize("one_way", [True, False])
def test_a_zip_in_the_wide_form(files, check, one_way):
    """As a writer makes it who does not know beforehand how large a file will be."""
    stream = OneWay() if one_way else io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    content = bytes(stream.written) if one_way else stream.getvalue()

    assert check(content).level == "embedded"


def test_a_zip_with_a_wide_end(content, check):
    """As it is written when a zip is larger than four gigabytes."""
    end = len(content) - 22
    count, size, offset = struct.unpack_from("<H2L", content, end + 10)
    wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    full = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    whole = content[:end] + wide + locator + full
    assert check(whole).level == "embedded"

    for place in range(end, len(whole)):
        with pytest.raises((NothingToSay, Broken)):
            changed = patched(whole, place, "<B", whole[place] ^ 0x55)
            kaireon_verify.check(io.BytesIO(changed))
            # Who wrote it says nothing.
            if place - end in (12, 13, 14, 15):
                raise NothingToSay
