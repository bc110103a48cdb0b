"""Entries that say something else than what is there, or hide something."""

import io
import stat
import struct
import zipfile
import zlib

import pytest

from audit.offline import kaireon_verify
from audit.offline.kaireon_verify import NothingToSay
from tests.audit.offline.bundle import zipped
from tests.audit.offline.zips.crafted import central_of, local_of, patched, with_info


def test_an_encrypted_file(content, check_broken):
    for bit in (0x0001, 0x0040, 0x2000):
        flags = content
        for place in (central_of(content, "keys.json") + 8, local_of(content, "keys.json") + 6):
            flags = patched(flags, place, "<H", bit)
        broken = check_broken(flags)
        assert (broken.file, broken.reason) == ("keys.json", "unsafe_zip")
        assert "encrypted" in broken.message


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFIFO | 0o600, stat.S_IFCHR])
def test_a_link_or_another_special_file(files, check_broken, mode):
    def link(info):
        info.create_system = 3
        info.external_attr = mode << 16

    broken = check_broken(with_info(files, "README.txt", link))
    assert (broken.file, broken.reason) == ("README.txt", "unsafe_zip")
    assert "link" in broken.message


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_file_packed_in_another_way(files, check_broken, method):
    def pack(info):
        info.compress_type = method

    broken = check_broken(with_info(files, "README.txt", pack))
    assert (broken.file, broken.reason) == ("README.txt", "unsafe_zip")


def test_a_file_with_a_comment_or_a_second_name(files, check_broken):
    def comment(info):
        info.comment = b"x"

    def second_name(info):
        name = b"../elsewhere"
        info.extra = struct.pack("<2HBL", 0x7075, 5 + len(name), 1, zlib.crc32(info.filename.encode())) + name

    for change in (comment, second_name):
        broken = check_broken(with_info(files, "README.txt", change))
        assert (broken.file, broken.reason) == ("README.txt", "unsafe_zip")


def test_an_extra_field_of_another_kind_is_let_be(files, check):
    def times(info):
        info.extra = struct.pack("<2HBL", 0x5455, 5, 1, 0)

    assert check(with_info(files, "README.txt", times)).level == "embedded"


def test_two_entries_over_the_same_bytes(content, check_broken):
    """The way of the bombs that overlap, and of names that show another file's content."""
    place = central_of(content, "README.txt") + 42
    other = local_of(content, "keys.json")

    assert check_broken(patched(content, place, "<L", other)).reason == "unsafe_zip"


@pytest.mark.parametrize("by", [-1, 1, 7])
def test_an_entry_that_does_not_end_where_the_next_begins(content, by, check_broken):
    place = central_of(content, "keys.json") + 20
    packed = struct.unpack_from("<L", content, place)[0]
    changed = patched(content, place, "<L", packed + by)
    changed = patched(changed, local_of(content, "keys.json") + 18, "<L", packed + by)

    assert check_broken(changed).reason == "unsafe_zip"


def with_inserted(content: bytes, place: int, hidden: bytes) -> bytes:
    """With bytes put in and every offset behind them moved: other readers notice nothing."""
    end = len(content) - 22
    count, size, offset = struct.unpack_from("<H2L", content, end + 10)
    changed = patched(content, end + 16, "<L", offset + len(hidden))
    entry = offset
    for _ in range(count):
        start = struct.unpack_from("<L", content, entry + 42)[0]
        if start >= place:
            changed = patched(changed, entry + 42, "<L", start + len(hidden))
        entry += 46 + sum(struct.unpack_from("<3H", content, entry + 28))
    assert entry == offset + size
    return changed[:place] + hidden + changed[place:]


@pytest.mark.parametrize("hidden", [b"hidden", zipped({"manifest.json": b"hidden"}).partition(b"PK\x01\x02")[0]])
@pytest.mark.parametrize("where", ["first", "between", "last"])
def test_something_between_the_files(content, files, where, hidden, check_broken):
    places = {
        "first": 0,
        "between": local_of(content, "keys.json"),
        "last": struct.unpack_from("<L", content, len(content) - 6)[0],
    }
    changed = with_inserted(content, places[where], hidden)
    with zipfile.ZipFile(io.BytesIO(changed)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files, (
            "others read it as if nothing were there"
        )

    if changed.startswith(b"PK"):
        assert check_broken(changed).reason == "unsafe_zip"
    else:
        with pytest.raises(NothingToSay):
            kaireon_verify.check(io.BytesIO(changed))


def test_something_behind_the_end_of_packed_data(files, check_broken):
    """A packed file that ends early, its rest declared as if it belonged to it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(files["keys.json"]) + packer.flush() + b"hidden"
    buffer = io.BytesIO(zipped({**files, "keys.json": files["keys.json"]}))
    content = buffer.getvalue()
    start = local_of(content, "keys.json")
    name_length = len("keys.json")
    old = struct.unpack_from("<L", content, start + 18)[0]
    begin = start + 30 + name_length
    changed = content[:begin] + packed + content[begin + old :]
    grown = len(packed) - old
    central = central_of(changed, "keys.json")
    changed = patched(changed, start + 18, "<L", len(packed))
    changed = patched(changed, central + 20, "<L", len(packed))
    for name in list(files)[list(files).index("keys.json") + 1 :]:
        place = central_of(changed, name) + 42
        changed = patched(changed, place, "<L", struct.unpack_from("<L", changed, place)[0] + grown)
    end = len(changed) - 22
    changed = patched(changed, end + 16, "<L", struct.unpack_from("<L", changed, end + 16)[0] + grown)

    broken = check_broken(changed)
    assert (broken.file, broken.reason) == ("keys.json", "unsafe_zip")
    assert "hidden" in broken.message


@pytest.mark.parametrize("place", [14, 18, 22], ids=["checksum", "packed", "size"])
def test_a_header_that_contradicts_the_directory(content, check_broken, place):
    header = local_of(content, "README.txt") + place
    value = struct.unpack_from("<L", content, header)[0]

    assert check_broken(patched(content, header, "<L", value ^ 1)).reason == "unsafe_zip"


def test_a_header_with_another_name(content, check_broken):
    header = local_of(content, "README.txt") + 30
    broken = check_broken(content[:header] + b"EVIL" + content[header + 4 :])

    assert (broken.file, broken.reason) == ("README.txt", "unsafe_zip")


@pytest.mark.parametrize("name", kaireon_verify.FILES)
def test_a_checksum_that_is_not_the_files(content, check_broken, name):
    changed = content
    for place in (local_of(content, name) + 14, central_of(content, name) + 16):
        changed = patched(changed, place, "<L", struct.unpack_from("<L", content, place)[0] ^ 1)

    broken = check_broken(changed)
    assert (broken.file, broken.reason) == (name, "file_mismatch")


@pytest.mark.parametrize("by", [-1, 1, 1_000_000])
@pytest.mark.parametrize("name", ["manifest.json", "records.ndjson"])
def test_a_size_that_is_not_the_files(content, check_broken, by, name):
    changed = content
    for place in (local_of(content, name) + 22, central_of(content, name) + 24):
        changed = patched(changed, place, "<L", struct.unpack_from("<L", content, place)[0] + by)

    broken = check_broken(changed)
    assert (broken.file, broken.reason) == (name, "unsafe_zip")


@pytest.mark.parametrize("name", ["manifest.json", "keys.json", "records.ndjson"])
def test_data_that_cannot_be_unpacked(content, check_broken, name):
    start = local_of(content, name) + 30 + len(name)
    # A block of the kind that deflate does not have.
    broken = check_broken(content[:start] + b"\xff" + content[start + 1 :])

    assert (broken.file, broken.reason) == (name, "file_mismatch")
