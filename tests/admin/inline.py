"""What a page holds that its Content-Security-Policy refuses to run, to apply or to load."""

from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

from django.http import HttpResponse

# Which load what they name; a link or a form only leads there.
LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class _Refused(HTMLParser):
    def __init__(self, policy: str) -> None:
        super().__init__()
        self.policy = policy
        self.found: list[str] = []
        self.in_style = False

    def handle_data(self, data: str) -> None:
        # A policy may name a style by its hash.
        if self.in_style and f"'sha256-{b64encode(sha256(data.encode()).digest()).decode()}'" not in self.policy:
            self.found.append("<style>")

    def handle_endtag(self, tag: str) -> None:
        self.in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        runs = tag == "script" and "src" not in given and given.get("type", "") != "application/json"
        leads = [value for value in given.values() if value.strip().lower().startswith("javascript:")]
        loaded = given.get(LOADING.get(tag, ""), "/")
        self.in_style = tag == "style"
        if (
            runs
            or leads
            or any(name == "style" or name.startswith("on") for name in given)
            or not loaded.startswith(("/", "data:image/"))
            or loaded.startswith("//")
        ):
            self.found.append(self.get_starttag_text() or tag)


def refused(page: HttpResponse) -> list[str]:
    """The tags, as they stand there; none of an answer that is no page."""
    if not page.headers["Content-Type"].startswith("text/html"):
        return []
    parser = _Refused(page.headers.get("Content-Security-Policy", ""))
    parser.feed(page.content.decode())
    return parser.found
