"""What a page holds that its Content-Security-Policy refuses to run, to apply or to load."""

from html.parser import HTMLParser

from django.http import HttpResponse

# Which load what they name; a link or a form only leads there.
LOADING = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class _Refused(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        runs = tag == "script" and "src" not in given and given.get("type", "") != "application/json"
        leads = [value for value in given.values() if value.strip().lower().startswith("javascript:")]
        loaded = given.get(LOADING.get(tag, ""), "/")
        if (
            tag == "style"
            or runs
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
    parser = _Refused()
    parser.feed(page.content.decode())
    return parser.found
