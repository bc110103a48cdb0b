"""How much of everything one may ask for: forms, codes, looks, mails."""

from datetime import timedelta
from typing import Any

import pytest

from dsar.models import FollowLink
from dsar.public import guard
from kaireon.api.throttles import Rate
from kaireon.lib import clock
from kaireon.tenancy.context import transaction
from tests.dsar.conftest import EMAIL
from tests.dsar.public.conftest import (
    Visitor,
    code_in,
    earlier,
    filings,
    mails,
    text_of,
    work,
    wrong,
)


def test_downloads_have_limits_of_their_own(acme: str) -> None:
    jane = Visitor()
    jane.arrive("export")
    assert "The package has ended" in text_of(jane.post("request/fetch/code/"))
    work()
    jane.post("request/fetch/code/")
    code = code_in(mails()[-1])
    given = {"code": code, "as_format": "exe"}
    assert "Select a valid choice." in text_of(jane.post("request/fetch/", given))
    assert "Wait" in text_of(jane.post("request/fetch/code/"))
    given = {"code": wrong(code), "as_format": "zip"}
    for _ in range(4):
        assert "not the code that we sent" in text_of(jane.post("request/fetch/", given))
    assert "none counts any more" in text_of(jane.post("request/fetch/", given))
    assert "none counts any more" in text_of(jane.post("request/fetch/", {**given, "code": code}))
    # The link still shows how it stands.
    assert jane.get("request/").status_code == 200
    with clock.freeze(clock.now() + timedelta(days=31)), transaction():
        FollowLink.objects.update(wrong_codes=0)
    with clock.freeze(clock.now() + timedelta(days=31)):
        assert "nothing to fetch" in text_of(jane.get("request/fetch/"))


def test_too_many_are_told_when_to_come_again(acme: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(answer: Any) -> bool:
        assert answer.status_code in (200, 303, 404, 429)
        if answer.status_code == 429:
            assert int(answer["Retry-After"]) > 0
            assert f"Wait {answer['Retry-After']} seconds" in text_of(answer)
        return bool(answer.status_code == 429)

    # By network: ten forms a minute, whatever is in them; one subscriber's IPv6 addresses are one.
    many = [Visitor(REMOTE_ADDR=f"2001:db8:1:2::{n:x}").post("", {"kind": "x"}) for n in range(11)]
    assert [busy(answer) for answer in many] == [False] * 10 + [True]
    assert not busy(Visitor(REMOTE_ADDR="2001:db8:1:3::1").post("", {"kind": "x"}))
    # By mail address, in any spelling and from anywhere: six an hour, known or not.
    for address in (EMAIL, "nobody@nowhere.example"):
        spellings = [address, address.upper(), f" {address} "] * 3
        tries = [Visitor(REMOTE_ADDR=f"10.0.{n}.1").ask(address=spelled) for n, spelled in enumerate(spellings[:7])]
        assert [busy(answer) for answer in tries] == [False] * 6 + [True], address
    assert filings() == 12
    # A code sent again counts too.
    jane = Visitor(REMOTE_ADDR="10.1.0.1")
    jane.client.cookies["kaireon_filing"] = tries[0].cookies["kaireon_filing"].value
    assert busy(jane.post("code/again/"))
    # Codes and links are not tried in numbers.
    guesser = Visitor(REMOTE_ADDR="10.2.0.1")
    assert sum(busy(guesser.confirm("12345678")) for _ in range(23)) == 3
    monkeypatch.setattr(guard, "LOOKS", Rate("privacy-look", per_minute=4))
    assert sum(busy(guesser.get(f"follow/{n:043}/")) for n in range(3)) == 0
    assert [busy(guesser.get(path)) for path in ("request/", "request/", "request/withdraw/")] == [False, True, True]
    # Behind a proxy the address is the one that the proxy saw.
    settings.TRUSTED_PROXIES = 1
    proxied = [
        Visitor(REMOTE_ADDR="10.3.0.1").post("", {"kind": "x"}, headers={"x-forwarded-for": f"1.1.1.1, 10.4.0.{n}"})
        for n in range(12)
    ]
    assert not any(busy(answer) for answer in proxied)
    # Whatever it writes of it: with the port, and of IPv4 as a socket for both tells it.
    for spelling, refused in (
        ("10.5.0.{}:{}", 0),
        ("::ffff:10.6.0.{}", 0),
        ("10.7.0.1:{}", 2),
        ("[2001:db8::1]:{}", 2),
    ):
        answers = [
            Visitor().post("", {"kind": "x"}, headers={"x-forwarded-for": spelling.format(n, 4000 + n)})
            for n in range(12)
        ]
        assert sum(busy(answer) for answer in answers) == refused, spelling


def test_a_link_that_others_have_floods_nobody(acme: str) -> None:
    jane = Visitor()
    jane.arrive()
    sent = 1
    for _ in range(9):
        earlier(timedelta(minutes=2))
        answer = jane.post("request/link/")
        sent += answer.status_code == 200
        assert answer.status_code in (200, 429)
    # The code that was asked for counts too.
    assert (sent, jane.post("request/link/").status_code) == (6, 429)
    work()
    assert jane.post("request/fetch/code/").status_code == 429
