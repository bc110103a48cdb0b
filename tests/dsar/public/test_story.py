"""Somebody without an account asks, confirms, follows, fetches and withdraws."""

from tests.dsar.conftest import EMAIL
from tests.dsar.public.conftest import Visitor, code_in, mails, requests, text_of, work


def test_it_goes_from_the_form_to_the_package(acme: str) -> None:
    jane = Visitor()
    form = jane.get()
    assert form.status_code == 200
    print(text_of(form))
    page = jane.arrive("export", address=" Jane.DOE@Example.com ")
    print(text_of(page))
    [row] = requests()
    assert (row.subject_id, row.state, row.identity_method) == (EMAIL, "queued", "code")
    work()
    print(text_of(jane.get("request/")))
    print(jane.get("request/fetch/").status_code)
    print(text_of(jane.post("request/fetch/code/")))
    print(mails())
    answer = jane.post("request/fetch/", {"code": code_in(mails()[-1]), "as_format": "zip"})
    print(answer.status_code, answer.headers)
    print(text_of(jane.get("request/withdraw/")))
    assert 0
