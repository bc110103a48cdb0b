"""What letters say: complete in each language, in the law's own citations, and nothing runs in a tenant's words."""

import re
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings

from customers.catalogue import CATALOGUE, Erasure
from dsar import deadlines
from dsar.deadlines import LAWS
from dsar.erasing import grounds as kept
from dsar.erasing import log_keys
from dsar.letters import facts, sending, texts, words
from dsar.letters.texts import Template, TemplateRefused
from dsar.letters.words import LANGUAGES, de, es, fr
from dsar.models import DsarRequest, Letter, LetterKind, LetterSettings, RequestType
from dsar.requests.grounds import GROUNDS
from kaireon.lib.clock import at

GOOD = "Leider nein. {{ ground }} ({{ article }})\n\n{{ remedies }}"
ENTITIES = {entity.name for entity in CATALOGUE if entity.erasure != Erasure.NONE} | {log_keys.NAME}


@pytest.mark.parametrize("tag", LANGUAGES)
def test_a_language_has_a_word_for_everything(tag: str) -> None:
    language = LANGUAGES[tag]
    assert set(language.requests) == set(language.done) == set(RequestType.values)
    assert set(language.laws) == set(language.authorities) == set(language.remedies) == set(LAWS)
    assert set(language.grounds) == set(GROUNDS)
    assert set(language.data) >= ENTITIES
    assert set(language.kept) == {kept.LEGAL_HOLD, kept.REFERRED_TO, kept.TELLS_OF_HELD_ROWS}
    for sentences in language.remedies.values():
        assert "{authority}" in sentences
    for kind in LetterKind:
        own = texts.shipped(kind, tag)
        texts.check(kind=kind, subject=own.subject, body=own.body)
        named = set(texts._PLACEHOLDER.findall(own.body))
        # Whatever such a letter alone can tell, the product's words tell.
        assert facts.PLACEHOLDERS[kind] - facts._EVERY <= named, kind
        assert {"organisation", "reference", "law", "request", "received_on", "contact"} <= named, kind
        # And no language tells less than another.
        assert named == set(texts._PLACEHOLDER.findall(texts.shipped(kind, "en").body)), kind
        assert "{{ reference }}" in own.subject, kind


@pytest.mark.parametrize("tag", LANGUAGES)
def test_a_sentence_takes_the_same_words_in_each_language(tag: str) -> None:
    """What stands in braces is filled in wherever a language puts it."""

    def taken(value: object) -> object:
        if isinstance(value, dict):
            return {name: taken(text) for name, text in value.items()}
        return sorted(set(re.findall(r"\{(\w*)\}", value))) if isinstance(value, str) else None

    own, english = vars(LANGUAGES[tag]), vars(LANGUAGES["en"])
    for name in own:
        assert taken(own[name]) == taken(english[name]), name


def test_every_language_has_its_folder_and_each_folder_its_language() -> None:
    folder = Path(settings.BASE_DIR) / "templates/dsar/letters"
    assert {path.name for path in folder.iterdir()} == set(LANGUAGES)
    for tag in LANGUAGES:
        assert {path.stem for path in (folder / tag).iterdir()} == set(LetterKind.values), tag


@pytest.mark.parametrize(
    ("article", "german"),
    [
        ("GDPR Art. 12(3)", "Art. 12 Abs. 3 DSGVO"),
        ("GDPR Art. 12(5)(b)", "Art. 12 Abs. 5 Buchst. b DSGVO"),
        ("GDPR Art. 17(3)(e), 21(1)", "Art. 17 Abs. 3 Buchst. e, Art. 21 Abs. 1 DSGVO"),
        ("GDPR Art. 20(1), 18(1), 21(1)", "Art. 20 Abs. 1, Art. 18 Abs. 1, Art. 21 Abs. 1 DSGVO"),
        ("GDPR Art. 16", "Art. 16 DSGVO"),
        ("UK GDPR Art. 12A(3)", "UK GDPR Art. 12A(3)"),
        ("11 CCR § 7021(b)", "11 CCR § 7021(b)"),
        ("GDPR Recital 63", "GDPR Recital 63"),
    ],
)
def test_german_cites_as_german_law_does(article: str, german: str) -> None:
    assert de.cite(article) == german


@pytest.mark.parametrize(
    ("article", "french", "spanish"),
    [
        ("GDPR Art. 16", "article 16 du RGPD", "artículo 16 del RGPD"),
        ("GDPR Art. 12(3)", "article 12, paragraphe 3, du RGPD", "artículo 12, apartado 3, del RGPD"),
        (
            "GDPR Art. 17(3)(e), 21(1)",
            "article 17, paragraphe 3, point e), et article 21, paragraphe 1, du RGPD",
            "artículo 17, apartado 3, letra e), y artículo 21, apartado 1, del RGPD",
        ),
        (
            "GDPR Art. 20(1), 18(1), 21(1)",
            "article 20, paragraphe 1, article 18, paragraphe 1, et article 21, paragraphe 1, du RGPD",
            "artículo 20, apartado 1, artículo 18, apartado 1, y artículo 21, apartado 1, del RGPD",
        ),
        ("GDPR Art. 15 to 22", "articles 15 à 22 du RGPD", "artículos 15 a 22 del RGPD"),
        ("GDPR Art. 15, 16", "article 15 et article 16 du RGPD", "artículo 15 y artículo 16 del RGPD"),
        ("UK GDPR Art. 12A(3)", "UK GDPR Art. 12A(3)", "UK GDPR Art. 12A(3)"),
        ("GDPR Recital 63", "GDPR Recital 63", "GDPR Recital 63"),
    ],
)
def test_french_and_spanish_cite_as_their_texts_of_the_law_do(article: str, french: str, spanish: str) -> None:
    assert (fr.cite(article), es.cite(article)) == (french, spanish)


@pytest.mark.parametrize(
    ("tag", "first", "other"),
    [
        ("en", "1 March 2026", "11 March 2026"),
        ("de", "1. März 2026", "11. März 2026"),
        ("fr", "1er mars 2026", "11 mars 2026"),
        ("es", "1 de marzo de 2026", "11 de marzo de 2026"),
    ],
)
def test_days_are_written_as_the_language_writes_them(ada: None, tag: str, first: str, other: str) -> None:
    about = facts.About(request=DsarRequest(), settings=LetterSettings(), language=tag)
    assert [facts._day(date(2026, 3, day), about) for day in (1, 11)] == [first, other]


def test_each_language_names_complaint_and_remedy_by_their_terms() -> None:
    for tag, complaint, remedy in (
        ("en", "complain to a supervisory authority", "judicial remedy (GDPR Art. 79)"),
        ("de", "Datenschutz-Aufsichtsbehörde", "gerichtlichen Rechtsbehelf einlegen (Art. 79 DSGVO)"),
        ("fr", "introduire une réclamation auprès d'une autorité de contrôle", "article 79 du RGPD"),
        ("es", "presentar una reclamación ante una autoridad de control", "artículo 79 del RGPD"),
    ):
        said = LANGUAGES[tag].remedies["gdpr"]
        assert complaint in said, tag
        assert remedy in said, tag
    assert "CNIL" in fr.WORDS.authorities["gdpr"]
    assert "Agencia Española de Protección de Datos" in es.WORDS.authorities["gdpr"]


def test_no_citation_of_a_law_is_left_in_english() -> None:
    cited = [article for ground in GROUNDS.values() for law, article in ground.articles.items() if law == "gdpr"]
    cited += [LAWS["gdpr"].general.respond_article, LAWS["gdpr"].general.extend_article]
    for article in cited:
        assert de.cite(article).endswith(" DSGVO"), article
        assert fr.cite(article).endswith(" du RGPD"), article
        assert es.cite(article).endswith(" del RGPD"), article


@pytest.mark.parametrize(
    ("field", "subject", "body", "words_"),
    [
        ("subject", "", GOOD, "Say something"),
        ("body", "Nein", "  \n ", "Say something"),
        ("subject", "x" * 151, GOOD, "At most 150"),
        ("body", "Nein", GOOD + "x" * 10_000, "At most 10000"),
        ("subject", "Nein\nBcc: eve@example.com", GOOD, "One line"),
        ("subject", "Nein\r\nBcc: eve@example.com", GOOD, "One line"),
        ("subject", "Nein\u2028Bcc", GOOD, "One line"),
        ("body", "Nein", GOOD + "\x00", "Plain text"),
        ("subject", "Nein {{ remedies }}", GOOD, "is none of"),
        ("body", "Nein", GOOD + "{{ package }}", "is none of"),
        ("body", "Nein", GOOD + "{{ settings }}", "is none of"),
        ("body", "Nein", GOOD + "{{ request.__class__ }}", "there are no tags"),
        ("body", "Nein", GOOD + "{{ reason|safe }}", "there are no tags"),
        ("body", "Nein", GOOD + "{% load log %}", "there are no tags"),
        ("body", "Nein", GOOD + "{% include 'x' %}", "there are no tags"),
        ("body", "Nein", GOOD + "{# x #}", "there are no tags"),
        ("body", "Nein", GOOD + "{{ reason", "there are no tags"),
        ("body", "Nein", "Nein. {{ ground }}", "remedies }} is missing"),
        ("body", "Nein", "Nein. {{ remedies }}", "ground }} is missing"),
    ],
)
def test_what_is_no_template_is_refused(field: str, subject: str, body: str, words_: str) -> None:
    with pytest.raises(TemplateRefused, match=words_) as refusal:
        texts.check(kind=LetterKind.REFUSAL, subject=subject, body=body)
    assert refusal.value.field == field
    texts.check(kind=LetterKind.REFUSAL, subject="Nein ({{ reference }})", body=GOOD)


def test_values_are_put_in_as_they_stand_and_a_subject_is_one_line() -> None:
    values = {
        "organisation": "Acme\r\nBcc: eve@example.com\u2028X",
        "reason": "{{ remedies }} {% debug %} <b>&",
        "remedies": "R" * 300,
    }
    template = Template(subject="A {{ organisation }}", body="{{ reason }}\n\n\n\n{{remedies}}\n")
    subject, text = texts.filled(template, values)
    assert subject == "A Acme Bcc: eve@example.com X"
    assert text == f"{{{{ remedies }}}} {{% debug %}} <b>&\n\n{'R' * 300}\n"
    assert len(texts.filled(Template(subject="{{ remedies }}", body="x"), values)[0]) == 200


def test_a_language_is_known_by_its_first_part() -> None:
    assert [words.known(tag) for tag in ("de-AT", "DE", "de_DE", "en-GB-oed", "fr-CA", "es_MX", "xx", "", "deu")] == [
        *("de", "de", "de", "en", "fr", "es"),
        *(None, None, None),
    ]


def test_a_hold_that_ends_at_a_moment_ends_on_the_day_it_has_for_the_tenant(ada: None) -> None:
    kept_rows = {"entity": "delivery", "count": 3, "ground": kept.LEGAL_HOLD}

    def said(until: str) -> str:
        request = DsarRequest(regulation="gdpr", clock_terms={"zone": "America/New_York"})
        request.retained = [{**kept_rows, "until": until}]
        about = facts.About(request=request, settings=LetterSettings(), language="en")
        return facts._retained(about)

    # Nine in the evening of the day before, where they are.
    assert "looked at again on 28 February 2026" in said("2026-03-01T02:00:00Z")
    assert "looked at again on 1 March 2026" in said("2026-03-01T12:00:00Z")
    assert "looked at again on 1 March 2026" in said("2026-03-01")


def test_a_letter_of_extension_is_in_time_until_the_end_of_the_first_time_pauses_included() -> None:
    zone = ZoneInfo("Europe/Berlin")
    times = deadlines.clock_for("gdpr", at("2026-03-02T09:00:00Z"), zone)
    assert times.notice_by == times.due == date(2026, 4, 2)

    def told(moment: str, times: deadlines.Clock) -> bool | None:
        return sending.told_in_time(Letter(tenant_id="acme", state="sent", settled_at=at(moment)), times)

    # The last second of the day there, to its end.
    assert told("2026-04-02T21:59:59.500000Z", times) is True
    assert told("2026-04-02T22:00:00Z", times) is False
    stood = deadlines.pause(times, at("2026-03-10T09:00:00Z"), deadlines.Ground.IDENTITY, "Who asks?")
    ran = deadlines.resume(stood, at("2026-03-15T09:00:00Z"))
    assert ran.notice_by == date(2026, 4, 7)
    [rule] = [rule for rule in deadlines.extend(ran, at("2026-04-06T09:00:00Z"), "Many").rules if rule.rule == "notice"]
    assert "2026-04-07" in rule.effect
    assert told("2026-04-07T09:00:00Z", ran) is True
    assert told("2026-04-08T09:00:00Z", ran) is False
    assert sending.told_in_time(Letter(tenant_id="acme", state="waiting"), ran) is None
