"""The spool by itself: nothing lost, nothing twice, nothing silently dropped."""

import os
import threading
from pathlib import Path

import pytest

from audit.spool import spool
from audit.spool.spool import Spool, SpoolFull

ROOMY = 1024 * 1024


@pytest.fixture
def place(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", limit=ROOMY)


def taken(place: Spool) -> list[bytes]:
    """What is in it, emptied."""
    lines: list[bytes] = []
    with place.taking() as files:
        for file in files:
            lines += [spool.content_of(line) for line in spool.raw_lines(file)]
            place.done(file)
    return lines


class TestSpool:
    def test_it_gives_back_what_it_was_given_once_and_in_order(self, place: Spool) -> None:
        for number in range(3):
            place.append(b"%d" % number)
        assert not place.is_empty()
        assert (place.waiting(), place.aside()) == (3, 0)
        assert taken(place) == [b"0", b"1", b"2"]
        assert place.is_empty()
        assert taken(place) == []
        assert place.size() == 0

    def test_it_is_this_users_alone(self, place: Spool) -> None:
        place.folder.mkdir(mode=0o755)
        place.append(b"x")
        assert place.folder.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in place.folder.iterdir()} == {0o600}

    def test_it_follows_no_link_that_somebody_put_in_its_place(self, place: Spool, tmp_path: Path) -> None:
        place.append(b"x")
        taken(place)
        (tmp_path / "elsewhere").write_bytes(b"")
        (place.folder / "current.spool").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="symbolic links"):
            place.append(b"x")
        assert (tmp_path / "elsewhere").read_bytes() == b""

    def test_it_refuses_what_does_not_fit_and_keeps_the_rest(self, tmp_path: Path) -> None:
        place = Spool(tmp_path / "spool", limit=100)
        kept = 0
        with pytest.raises(SpoolFull):
            while True:
                place.append(b"x" * 10)
                kept += 1
        assert place.size() <= 100
        assert taken(place) == [b"x" * 10] * kept
        place.append(b"x" * 10)

    def test_a_line_cut_short_by_a_crash_spoils_no_other(self, place: Spool) -> None:
        place.append(b"first")
        file = place.folder / "current.spool"
        whole = file.stat().st_size
        place.append(b"cut")
        os.truncate(file, whole + 5)
        place.append(b"next")
        with place.taking() as [only]:
            lines = spool.raw_lines(only)
        assert len(lines) == 3
        assert spool.content_of(lines[0]) == b"first"
        with pytest.raises(spool.Damaged):
            spool.content_of(lines[1])
        assert spool.content_of(lines[2]) == b"next"

    def test_whoever_takes_alone_takes(self, place: Spool) -> None:
        place.append(b"x")
        with place.taking() as files:
            assert len(files) == 1
            with place.taking() as others:
                assert others == []
            # Meanwhile it can be appended to.
            place.append(b"y")
            assert len(place._taken()) == 2

    def test_a_file_that_was_taken_and_not_done_is_taken_again(self, place: Spool) -> None:
        place.append(b"x")
        with place.taking():
            pass
        place.append(b"y")
        assert taken(place) == [b"x", b"y"]

    def test_a_line_is_set_aside_once(self, place: Spool) -> None:
        place.append(b"x")
        assert place.set_aside([b"bad", b"bad", b"worse"]) == 2
        assert place.set_aside([b"worse", b"worst"]) == 1
        assert place.aside() == 3
        assert taken(place) == [b"x"]
        # It waits for somebody, not for the next who takes.
        assert place.is_empty()

    def test_many_threads_lose_nothing(self, place: Spool) -> None:
        def write(writer: int) -> None:
            for number in range(20):
                place.append(b"%d-%d" % (writer, number))

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        found: list[bytes] = []
        while any(thread.is_alive() for thread in threads):
            found += taken(place)
        found += taken(place)
        assert sorted(found) == sorted(b"%d-%d" % (w, n) for w in range(4) for n in range(20))
        for writer in range(4):
            mine = [line for line in found if line.startswith(b"%d-" % writer)]
            assert mine == [b"%d-%d" % (writer, n) for n in range(20)]
