"""Zips that are cut, crafted or hide something."""

import io
import random
import stat
import struct
import zipfile
import zlib

import pytest

from audit.offline import kaireon_verify
from audit.offline.kaireon_verify import Broken, NothingToSay
from tests.audit.offline.bundle import zipped


@pytest.fixture
def files(log):
    return log.bundle(3, 9).signed()


@pytest.fixture
def content(files):
    return zipped(files)


def archived(write) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive)
    return buffer.getvalue()


def with_info(files, name, change) -> bytes:
    """The zip whose one file has another entry in the directory, as a dishonest writer makes it."""

    def write(archive):
        for each, content in files.items():
            info = zipfile.ZipInfo(each)
            info.compress_type = zipfile.ZIP_DEFLATED
            if each == name:
                change(info)
            archive.writestr(info, content)

    return archived(write)


def central_of(content: bytes, name: str) -> int:
    place = content.index(b"PK\x01\x02")
    while content[place + 46 : place + 46 + len(name)] != name.encode():
        place = content.index(b"PK\x01\x02", place + 4)
    return place


def local_of(content: bytes, name: str) -> int:
    return struct.unpack_from("<L", content, central_of(content, name) + 42)[0]


def patched(content: bytes, place: int, form: str, *values: int) -> bytes:
    changed = bytearray(content)
    struct.pack_into(form, changed, place, *values)
    return bytes(changed)


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


@pytest.mark.parametrize("name", [name for name in kaireon_verify.FILES if name != "manifest.json"])
def test_a_missing_file(files, name, check_broken):
    del files[name]
    broken = check_broken(zipped(files))

    assert (broken.file, broken.reason) == (name, "unsafe_zip")
    assert "missing" in broken.message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("more.txt", "does not belong"),
        ("folder/", "does not belong"),
        ("folder/manifest.json", "does not belong"),
        ("MANIFEST.JSON", "does not belong"),
        ("manifest.json ", "does not belong"),
        ("\u202emanifest.json", "does not belong"),
        ("../manifest.json", "leads out"),
        ("../../../../etc/cron.d/x", "leads out"),
        ("/etc/passwd", "leads out"),
        ("\\\\server\\share", "leads out"),
        ("C:\\windows\\x", "leads out"),
        ("..\\x", "leads out"),
    ],
)
def test_a_file_that_should_not_be_there(files, check_broken, name, message):
    broken = check_broken(zipped({**files, name: b"x"}))

    assert broken.reason == "unsafe_zip"
    assert message in broken.message
    assert broken.file.isprintable()
    assert broken.file.isascii()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", kaireon_verify.FILES)
def test_a_file_that_is_there_twice(files, check_broken, name):
    for content in (files[name], b"another"):
        for order in ([*files.items(), (name, content)], [(name, content), *files.items()]):
            broken = check_broken(zipped(order))
            assert (broken.file, broken.reason) == (name, "unsafe_zip")
            assert "twice" in broken.message


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


def test_too_many_files(files):
    many = zipped({**files, **{f"{n:0200}": b"" for n in range(400)}})
    with pytest.raises(NothingToSay, match="too many"):
        kaireon_verify.check(io.BytesIO(many))


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
