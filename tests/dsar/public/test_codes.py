"""The code that is mailed: what it is good for, how often, and what a second click on it says."""

from datetime import timedelta

from dsar.public import filing
from tests.dsar.public.conftest import Visitor, code_in, earlier, mails, requests, text_of, work, wrong
from tests.race import at_once

CONFIRMED = "Your request is confirmed"
ENDED = "This code has ended."


def test_a_second_click_says_that_it_is_confirmed_and_makes_nothing(acme: str) -> None:
    jane = Visitor()
    jane.ask()
    work(filing.JOB)
    code = code_in(mails()[-1])
    handle = jane.client.cookies["kaireon_filing"].value
    # Both were on their way before one was answered.
    both = [Visitor(), Visitor()]
    for each in both:
        each.client.cookies["kaireon_filing"] = handle
    answers = at_once(*[lambda each=each: each.confirm(code) for each in both])
    assert sorted(answer["Location"].removeprefix(acme) for answer in answers) == ["code/confirmed/", "request/"]
    for each in both:
        # Also when they went back to the form.
        assert each.client.cookies["kaireon_filing"].value == handle
        page = each.client.get(each.confirm(code)["Location"])
        assert CONFIRMED in text_of(page)
    # It opens the request to nobody: it leads there the browser that confirmed first, and has its link.
    first = ["kaireon_request" in each.client.cookies for each in both]
    assert sorted(first) == [False, True]
    assert ["See how far it is" in text_of(each.get("code/confirmed/")) for each in both] == first
    assert [each.get("request/").status_code == 200 for each in both] == first
    assert (len(requests()), len(mails())) == (1, 2)


def test_who_guesses_is_told_the_same_after_it_as_of_what_never_was(acme: str) -> None:
    jane = Visitor()
    jane.ask()
    work(filing.JOB)
    code = code_in(mails()[-1])
    jane.confirm(code)
    handle = jane.client.cookies["kaireon_filing"].value

    def told(given: str, cookie: str) -> str:
        visitor = Visitor()
        visitor.client.cookies["kaireon_filing"] = cookie
        answer = visitor.confirm(given)
        assert (answer.status_code, "kaireon_request" in answer.cookies) == (200, False)
        return text_of(answer)

    never = told(code, "x" * 43)
    assert ENDED in never
    # The right code without the browser's secret, and that without the code: also when it was tried too often.
    assert told(code, "") == never
    assert {told(wrong(code), handle) for _ in range(6)} == {never}
    assert told(code, handle) == never
    # The page that confirms says to everybody what it says.
    assert CONFIRMED in text_of(Visitor().get("code/confirmed/"))
    assert "See how far it is" not in text_of(Visitor().get("code/confirmed/"))
    assert len(requests()) == 1
    # After its half hour the code is a code no more; what ended by time was never confirmed.
    other = Visitor()
    other.ask(address="other@example.com")
    work(filing.JOB)
    others = code_in(mails()[-1])
    other.confirm(others)
    assert other.confirm(others)["Location"] == f"{acme}code/confirmed/"
    earlier(timedelta(minutes=30))
    assert ENDED in text_of(other.confirm(others))
    late = Visitor()
    late.ask(address="late@example.com")
    earlier(filing.LIVES - timedelta(minutes=10))
    work(filing.JOB)
    code = code_in(mails()[-1])
    earlier(timedelta(minutes=11))
    assert ENDED in text_of(late.confirm(code))
    assert len(requests()) == 2


def test_five_wrong_codes_end_it_and_no_new_code_gives_new_tries(acme: str) -> None:
    jane = Visitor()
    jane.ask()
    assert "This code has ended." in text_of(jane.confirm("12345678"))
    work()
    code = code_in(mails()[-1])
    for given, said in (
        ("", "Enter the code from the mail."),
        ("1234", "A code is eight digits."),
        ("١٢٣٤٥٦٧٨", "A code is eight digits."),
        ("1" * 10_000, "at most 40 characters"),
    ):
        assert said in text_of(jane.confirm(given)), given
    answers = at_once(*[lambda: jane.confirm(wrong(code)) for _ in range(4)])
    assert ["not the code that we sent" in text_of(answer) for answer in answers] == [True] * 4
    assert "Wait" in text_of(jane.post("code/again/"))
    earlier(timedelta(minutes=2))
    jane.post("code/again/")
    work()
    newest = code_in(mails()[-1])
    assert "none counts any more" in text_of(jane.confirm(wrong(newest)))
    assert "none counts any more" in text_of(jane.confirm(newest))
    earlier(timedelta(minutes=2))
    assert "none counts any more" in text_of(jane.post("code/again/"))
    assert requests() == []


def test_codes_end_by_time_use_and_number(acme: str) -> None:
    jane = Visitor()
    jane.ask()
    work()
    first = code_in(mails()[-1])
    # Not before the worker has come to the last one.
    earlier(timedelta(minutes=2))
    jane.post("code/again/")
    assert "Wait 60 seconds" in text_of(jane.post("code/again/"))
    work()
    assert "not the code that we sent" in text_of(jane.confirm(first))
    earlier(timedelta(minutes=2))
    jane.post("code/again/")
    work()
    earlier(timedelta(minutes=2))
    assert "No more codes can be sent" in text_of(jane.post("code/again/"))
    third = code_in(mails()[-1])
    earlier(timedelta(minutes=30))
    assert "This code has ended." in text_of(jane.confirm(third))

    # Of two at once one makes the request, and a code makes no second one.
    jane.ask()
    work()
    code = code_in(mails()[-1])
    handle = jane.client.cookies["kaireon_filing"].value
    both = [Visitor(), Visitor()]
    for each in both:
        each.client.cookies["kaireon_filing"] = handle
    answers = at_once(*[lambda each=each: each.confirm(code) for each in both])
    assert sorted(answer["Location"].removeprefix(acme) for answer in answers) == ["code/confirmed/", "request/"]
    assert len(requests()) == 1
    assert "This code has ended." in text_of(jane.post("code/again/"))

    # A code is good for its filing alone, and ends with it.
    other, one = Visitor(), Visitor()
    other.ask(address="other@example.com")
    work()
    others = code_in(mails()[-1])
    one.ask(address="one@example.com")
    work()
    assert "not the code that we sent" in text_of(one.confirm(others))
    earlier(filing.LIVES)
    assert "This code has ended." in text_of(other.confirm(others))
