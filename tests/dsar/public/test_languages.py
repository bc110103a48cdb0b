"""The page speaks to people in their language, on every page and in every mail, and says which it is."""

import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import translation

from dsar.deadlines import LAWS, Ground
from dsar.letters import words as letters
from dsar.models import DsarRequest, Outcome, RequestType, State
from dsar.public import guard, rights, words
from dsar.public.words.language import PageWords
from dsar.requests import clocks, grounds
from dsar.requests.codes import Verdict
from kaireon.lib import clock
from kaireon.tenancy.context import current, transaction
from tests.dsar.public.conftest import Visitor, code_in, earlier, law, mails, requests, text_of, work, wrong

OTHERS = [tag for tag in words.LANGUAGES if tag != "en"]


def reader(language: str, **more: Any) -> Visitor:
    return Visitor(HTTP_ACCEPT_LANGUAGE=language, **more)


def said_by(here: PageWords) -> dict[str, str]:
    """Everything, by where it stands."""
    told = {f"text {key}": text for key, text in here.texts.items()}
    told |= {f"state {key}": text for key, text in here.states.items()}
    told |= {f"outcome {key}": text for key, text in here.outcomes.items()}
    told |= {f"awaited {key}": text for key, text in here.awaited.items()}
    for kind, wish in (*here.wishes.items(), *here.in_law.items()):
        told |= {f"wish {kind} {name}": text for name, text in vars(wish).items() if text}
    return told


@pytest.mark.parametrize("tag", OTHERS)
def test_each_language_says_everything_and_takes_the_same_words(tag: str) -> None:
    english, own = said_by(words.of("en")), said_by(words.of(tag))
    assert own.keys() == english.keys()
    for key, text in own.items():
        assert sorted(re.findall(r"\{(\w*)\}", text)) == sorted(re.findall(r"\{(\w*)\}", english[key])), key
        assert text.strip() == text, key
    # Few words are the same by chance.
    same = {key for key in own if own[key] == english[key]}
    assert len(same) <= 3, same
    assert letters.LANGUAGES.keys() >= words.LANGUAGES.keys()


@pytest.mark.parametrize("tag", words.LANGUAGES)
def test_there_is_a_word_for_whatever_a_request_can_come_to(tag: str) -> None:
    here = words.of(tag)
    assert set(here.wishes) == set(RequestType.values)
    assert set(here.outcomes) == {outcome for outcome in Outcome.values if outcome}
    assert set(here.awaited) == set(Ground)
    assert set(here.states) <= set(State.values)
    assert {*(verdict for verdict in Verdict if verdict != Verdict.PROVED), "too_many_codes", "no_mail"} <= set(
        here.texts
    )
    assert set(letters.LANGUAGES[tag].grounds) == set(grounds.GROUNDS)


@pytest.mark.parametrize("tag", OTHERS)
def test_the_clock_is_explained_with_every_rule_that_a_law_has(acme: str, tag: str) -> None:
    for regulation in LAWS:
        law(regulation)
        offered = rights.offered(regulation)
        assert offered
        jane = reader(tag, REMOTE_ADDR=f"10.0.1.{len(regulation)}")
        jane.arrive("delete", f"{regulation}@example.com")
        row = requests()[-1]
        with transaction():
            names = {rule.rule for rule in clocks.clock_of(row).rules}
        assert names <= set(words.of(tag).rules), regulation
        said = text_of(jane.get("request/"))
        assert not re.search(r"\b(Received on|Answer within|by 20\d\d|the law)\b", said), regulation


@pytest.mark.parametrize(
    ("asked", "speaks"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("FR", "fr"),
        ("nl, es;q=0.4, fr;q=0.7", "fr"),
        ("en-GB", "en"),
        # None that it speaks: the tenant's.
        ("nl,ja;q=0.5", "es"),
        ("de;q=0, *", "es"),
        ("", "es"),
        ("*", "es"),
        ("x" * 10_000, "es"),
        ("de\x00, <script>", "es"),
    ],
)
def test_it_is_the_one_that_the_browser_asks_for_or_the_tenants(acme: str, asked: str, speaks: str) -> None:
    call_command("dsar_public", "--tenant", "acme", "--open", "--language", "es")
    answer = reader(asked).get()
    page = answer.content.decode()
    assert f'<html lang="{speaks}" dir="ltr">' in page
    assert answer["Content-Language"] == speaks
    assert {"Accept-Language", "Cookie"} <= set(answer["Vary"].split(", "))
    assert words.of(speaks).texts["title"] in text_of(answer)


def test_it_is_switched_where_one_is_and_stays_so(acme: str) -> None:
    jane = reader("de")
    page = jane.get().content.decode()
    for tag, name in (("en", "English"), ("de", "Deutsch"), ("fr", "Français"), ("es", "Español")):
        current_one = ' aria-current="true"' if tag == "de" else ""
        link = f'<a href="{acme}?language={tag}" lang="{tag}" hreflang="{tag}" rel="nofollow"{current_one}>{name}</a>'
        assert link in page
    chosen = jane.get("?language=fr")
    assert '<html lang="fr"' in chosen.content.decode()
    cookie = chosen.cookies["kaireon_language"]
    assert (cookie.value, cookie["path"], cookie["httponly"], cookie["samesite"]) == ("fr", acme, True, "Lax")
    assert '<html lang="fr"' in jane.get("lost/").content.decode()
    # On a page that only what was sent leads to, the switch leads to one that can be fetched.
    jane.ask()
    work()
    shown = jane.post("code/again/")
    assert f'href="{acme}code/?language=es"' in shown.content.decode()
    for nonsense in ("xx", "../de", "fr\r\nSet-Cookie: x=1", "<b>", "d" * 5000):
        answer = jane.client.get(f"{acme}lost/", {"language": nonsense})
        assert '<html lang="fr"' in answer.content.decode(), nonsense
    jane.client.cookies["kaireon_language"] = "<script>"
    assert '<html lang="de"' in jane.get("lost/").content.decode()


@pytest.mark.parametrize(
    ("tag", "received", "article"),
    [
        ("de", "Eingegangen 1. März 2026", "Art. 12 Abs. 3 DSGVO"),
        ("fr", "Reçue 1er mars 2026", "article 12, paragraphe 3, du RGPD"),
        ("es", "Recibida 1 de marzo de 2026", "artículo 12, apartado 3, del RGPD"),
    ],
)
def test_a_whole_request_is_spoken_of_in_it(acme: str, tag: str, received: str, article: str) -> None:
    here, jane = words.of(tag), reader(tag)
    with clock.freeze(clock.at("2026-03-01T12:00:00Z")):
        pages = [jane.get(), jane.ask("rectification", details="Doe-Roe"), jane.get("code/")]
        work()
        code = code_in(mails()[-1])
        pages += [jane.confirm(""), jane.confirm(wrong(code)), jane.post("code/again/")]
        assert here.say("wrong_code") in text_of(pages[-2])
        assert here.say("too_soon", seconds=60) in text_of(pages[-1])
        jane.confirm(code)
        [row] = requests()
        assert row.language == tag
        with transaction():
            terms = {"actor": current().actor, "now": clock.now()}
            clocks.extend_request(request=row, reason="Vierzig", **terms)
            clocks.pause_request(request=row, ground=Ground.IDENTITY, reason="…", **terms)
        page = jane.get("request/")
        said = text_of(page)
        assert received in said
        assert article in said
        assert here.say("waits_for", what=here.awaited["identity"]) in said
        assert f"<h1>{here.wishes['rectification'].title}</h1>" in page.content.decode()
        pages += [page, jane.get("request/withdraw/"), jane.post("request/withdraw/"), jane.get("request/")]
        assert here.outcomes["withdrawn"] in text_of(pages[-1])
        pages += [jane.get("follow/x/"), jane.get("lost/"), jane.get("lost/sent/"), jane.get("received/")]
    texts = [mail["text"] for mail in mails()]
    assert here.say("mail_code", code=code) in texts[0]
    assert here.say("mail_link") in texts[1]
    assert here.say("mail_code_subject", tenant="Acme") == mails()[0]["subject"]
    english = said_by(words.of("en")).values()
    whole = [text for text in english if "{" not in text and len(text) > 12]
    for shown in (*(page for page in pages if page.status_code in (200, 404)),):
        assert f'<html lang="{tag}"' in shown.content.decode()
        assert [text for text in whole if text in text_of(shown)] == []
    assert [text for text in whole if any(text in mail for mail in texts)] == []


@pytest.mark.parametrize("tag", OTHERS)
def test_a_package_is_fetched_and_links_are_mailed_in_it(acme: str, tag: str) -> None:
    here, jane = words.of(tag), reader(tag)
    jane.arrive("export")
    work()
    assert here.outcomes["completed"] in text_of(jane.get("request/"))
    assert here.say("code_sent") in text_of(jane.post("request/fetch/code/"))
    assert here.say("mail_code_fetch", tenant="Acme") in mails()[-1]["text"]
    form = text_of(jane.get("request/fetch/"))
    assert here.say("as_zip") in form
    given = {"code": code_in(mails()[-1]), "as_format": "zip"}
    assert jane.post("request/fetch/", given)["Content-Type"] == "application/zip"
    earlier(timedelta(minutes=2))
    jane.post("lost/", {"address": "jane.doe@example.com", "shown": guard.stamp(clock.now() - timedelta(seconds=30))})
    work()
    assert here.say("mail_links_not_you") in mails()[-1]["text"]
    assert here.wishes["export"].title in mails()[-1]["text"]


def test_what_was_kept_of_an_erasure_is_told_with_its_ground(acme: str) -> None:
    jane = reader("de")
    jane.arrive("delete")
    work()
    [row] = requests()
    kept = [{"entity": "consentRecord", "count": 2, "ground": "legal_hold", "until": "2030-01-01"}]
    with transaction():
        DsarRequest.objects.filter(pk=row.pk).update(retained=kept)
    said = text_of(jane.get("request/"))
    assert "Ihre Einwilligungen" in said
    assert "2, erforderlich für Rechtsansprüche oder aufgrund einer rechtlichen Verpflichtung (Art. 17" in said
    assert "erneute Prüfung am 1. Januar 2030" in said


def test_days_are_written_as_each_language_writes_them() -> None:
    first = date(2026, 8, 1)
    for tag, written in (
        ("en", "1 August 2026"),
        ("de", "1. August 2026"),
        ("fr", "1er août 2026"),
        ("es", "1 de agosto de 2026"),
    ):
        with translation.override(tag):
            assert words.day(first) == written
    with translation.override("nl"):
        assert words.here().tag == "en"
