import csv
import gzip
import re
import time
import unicodedata
from decimal import Decimal
from importlib.resources import files

import pytest

from customers.demo.identities import Identity, identity
from customers.demo.locales import LOCALES

CUSTOMERS = 23_570
PEOPLE = [identity(number) for number in range(1, CUSTOMERS + 1)]


def test_a_number_is_always_the_same_person():
    person = identity(1)

    assert person == identity(1)
    assert (person.full_name, person.email) == ("Şeyma Weiß", "seyma.weiss.1@example.org")


def test_people_are_made_quickly():
    started = time.process_time()
    for number in range(CUSTOMERS):
        identity(number)
    assert time.process_time() - started < 1


def test_no_two_share_an_address():
    assert len({person.email for person in PEOPLE}) == CUSTOMERS


def test_mail_reaches_nobody():
    address = re.compile(r"[a-z]+\.[a-z]+\.[0-9]+@example\.(com|org|net)")

    assert all(address.fullmatch(person.email) for person in PEOPLE)


def test_the_world_is_in_it():
    assert {person.script for person in PEOPLE} == {locale.script for locale in LOCALES}
    assert len({person.script for person in PEOPLE}) == 12
    assert len({person.language for person in PEOPLE}) == 21


def test_every_field_is_filled_and_composed():
    for person in PEOPLE[:3000]:
        for field in Identity.__slots__:
            value = getattr(person, field)
            assert value not in (None, "")
            if isinstance(value, str):
                assert unicodedata.is_normalized("NFC", value)
                assert "#" not in value
                assert "_" not in value


def test_people_are_numbered_from_zero():
    with pytest.raises(ValueError, match="from 0"):
        identity(-1)


def test_the_purchase_histories_are_complete():
    packed = files("customers.demo").joinpath("cdnow.csv.gz").read_bytes()
    rows = list(csv.DictReader(gzip.decompress(packed).decode().splitlines()))

    assert len(rows) == 69_659
    assert {int(row["customer"]) for row in rows} == set(range(1, CUSTOMERS + 1))
    assert (min(row["date"] for row in rows), max(row["date"] for row in rows)) == ("19970101", "19980630")
    assert sum(Decimal(row["dollars"]) for row in rows) == Decimal("2500315.63")
    # No time stamp: packing it again gives a file without a diff.
    assert packed[4:8] == bytes(4)
