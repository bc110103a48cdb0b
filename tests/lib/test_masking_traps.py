"""Numbers that look right and are wrong in one digit; pseudonyms that must not be joined; values nobody may show."""

import json
from pathlib import Path

import pytest

from kaireon.lib.masking import MASKS, KeyedHash, detect, keyed_hashes, mask
from kaireon.lib.sealing import Keyring

SHARED = json.loads((Path(__file__).parents[1] / "vectors" / "masks.json").read_text())

# Published by the card schemes for tests.
CARDS = [
    "4111111111111111",
    "5555555555554444",
    "378282246310005",
    "6011111111111117",
    "3530111333300000",
    "30569309025904",
    "4222222222222",
    "6304000000000000",
]
# From the IBAN registry of SWIFT.
IBANS = [
    "DE89370400440532013000",
    "GB29NWBK60161331926819",
    "FR1420041010050500013M02606",
    "NO9386011117947",
    "MT84MALT011000012345MTLCAST001S",
    "SA0380000000608010167519",
    "CH9300762011623852957",
    "BE68539007547034",
]
# From UIDAI's own test data.
AADHAARS = ["999941057058", "999971658847", "999933119405", "999955183433"]


def changed_in_one_digit(value: str) -> list[str]:
    return [
        value[:place] + digit + value[place + 1 :]
        for place, there in enumerate(value)
        if there.isdigit()
        for digit in "0123456789"
        if digit != there
    ]


def swapped_neighbours(value: str) -> list[str]:
    return [
        value[:place] + value[place + 1] + value[place] + value[place + 2 :]
        for place in range(len(value) - 1)
        if value[place] != value[place + 1] and value[place].isdigit() == value[place + 1].isdigit()
    ]


@pytest.mark.parametrize("card", CARDS)
def test_luhn_finds_every_wrong_digit_and_every_swap_but_its_own_blind_spot(card: str) -> None:
    assert detect(card) == "card"
    assert [wrong for wrong in changed_in_one_digit(card) if detect(wrong) == "card"] == []
    for wrong in swapped_neighbours(card):
        place = next(n for n in range(len(card)) if card[n] != wrong[n])
        assert (detect(wrong) == "card") == ({card[place], card[place + 1]} == {"0", "9"})


@pytest.mark.parametrize("iban", IBANS)
def test_mod_97_finds_every_wrong_digit_and_every_swap(iban: str) -> None:
    spaced = " ".join(iban[n : n + 4] for n in range(0, len(iban), 4))
    assert detect(iban) == detect(spaced) == detect(iban.lower()) == "iban"
    wrong = [value for value in changed_in_one_digit(iban) + swapped_neighbours(iban) if detect(value) == "iban"]
    # Of a number of 97 the check digits 00 to 02 and 97 to 99 mean the same.
    assert [value for value in wrong if value[2:4] not in ("00", "01", "97", "98", "99")] == []


@pytest.mark.parametrize("number", AADHAARS)
def test_verhoeff_finds_every_wrong_digit_and_every_swap(number: str) -> None:
    spaced = f"{number[:4]} {number[4:8]} {number[8:]}"
    assert detect(number) == detect(spaced) == "aadhaar"
    wrong = changed_in_one_digit(number) + swapped_neighbours(number)
    assert [value for value in wrong if detect(value) == "aadhaar"] == []
    # None begins with 0 or 1.
    assert all(detect(digit + number[1:]) != "aadhaar" for digit in "01")


@pytest.mark.parametrize("value", [*CARDS, *IBANS, *AADHAARS])
def test_a_number_shows_its_last_four_whether_its_check_holds_or_not(value: str) -> None:
    """Who mistyped a card number typed most of one."""
    for shown in (value, *changed_in_one_digit(value)[:20]):
        assert mask(shown) == "*" * (len(value) - 4) + shown[-4:]


@pytest.mark.parametrize(("value", "masked"), SHARED["mask"])
@pytest.mark.parametrize("around", [" {}", "{} ", "\t{}", "{}\n", "\u200b{}", "\ufeff{}", "x {}", '"{}"', "({})"])
def test_what_stands_around_a_value_does_not_uncover_it(value: str, masked: str, around: str) -> None:
    shown = mask(around.format(value))
    hidden = {character for character in value if character.isalnum()}
    assert sum(c in hidden and c != "*" for c in shown if c.isalnum()) <= max(4, sum(c.isalnum() for c in masked))
    assert value not in shown


@pytest.mark.parametrize(
    ("value", "shows"),
    [
        ("1985-04-12", "1985"),
        ("12.04.1985", "1985"),
        ("4/12/1985", "1985"),
        ("192.168.100.200", "200"),
        ("2001:db8:85a3::8a2e:370:7334", "7334"),
        ("ABCDE1234F", "234F"),
        ("+44 7700 900123", "0123"),
    ],
)
def test_each_further_format_shows_only_its_tail(value: str, shows: str) -> None:
    visible = "".join(c for c in mask(value) if c.isalnum())
    assert visible in (shows, f"0{shows}")


def test_every_format_of_the_contract_has_a_row() -> None:
    assert {"ssn", "email", "phone", "card", "iban", "pan", "aadhaar", "ip", "date"} < {row.name for row in MASKS}


def test_masking_twice_uncovers_nothing() -> None:
    for value, _ in SHARED["mask"]:
        once = mask(value)
        assert sum(a != b and a != "*" for a, b in zip(mask(once), once, strict=True)) == 0


KEYS = {1: bytes(32), 2: b"\x01" * 32, 7: b"\x07" * 32}


def test_a_pseudonym_outlives_a_rotation_of_keys_and_says_which_made_it() -> None:
    old = KeyedHash(keyring=Keyring({1: KEYS[1]}), tenant_id="acme", purpose="crm")("ada@example.com")
    rotated = Keyring({1: KEYS[1], 2: KEYS[2], 7: KEYS[7]})
    new = KeyedHash(keyring=rotated, tenant_id="acme", purpose="crm")("ada@example.com")
    assert (old.partition(":")[0], new.partition(":")[0]) == ("v1", "v7")
    assert old != new
    found = keyed_hashes("ada@example.com", keyring=rotated, tenant_id="acme", purpose="crm")
    assert (len(set(found)), found[0], found[-1]) == (3, new, old)


@pytest.mark.parametrize("part", ["tenant_id", "purpose"])
def test_two_tenants_or_purposes_share_no_pseudonym_in_any_version(part: str) -> None:
    ring = Keyring(KEYS)
    base = {"tenant_id": "acme", "purpose": "crm"}
    mine = set(keyed_hashes("x", keyring=ring, **base))
    for other in ("Acme", "acme ", "crm2", "", "a" * 200, "acme\x00", "ü"):
        if other:
            assert mine.isdisjoint(keyed_hashes("x", keyring=ring, **{**base, part: other}))


@pytest.mark.parametrize("value", ["", "\x00", "\ud800", "ü", "u\u0308", " x", "x" * 1_000_000])
def test_any_text_has_a_pseudonym_of_one_length(value: str) -> None:
    keyed = KeyedHash(keyring=Keyring(KEYS), tenant_id="acme", purpose="crm")
    assert len(keyed(value)) == len("v7:") + 64
    assert keyed(value) != keyed(value + "x")
