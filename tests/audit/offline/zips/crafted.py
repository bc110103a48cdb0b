"""Zips as a dishonest writer makes them, byte by byte."""

import io
import struct
import zipfile


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
