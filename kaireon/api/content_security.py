"""What a browser may load and do on the strength of our answers: Content-Security-Policy."""

from collections.abc import Callable, Mapping

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

# Of everything that is no page: data shown by a browser runs nothing, loads nothing and is in nobody's frame.
DATA: Mapping[str, str] = {
    "default-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
# What we serve ourselves, and nothing that stands in the page: a script that somebody brought into it does not run.
PAGE: Mapping[str, str] = {
    **DATA,
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
}
# Pages for everybody: forms, and no script at all.
FORMS: Mapping[str, str] = {
    **DATA,
    "style-src": "'self'",
    "img-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
}
ADMIN: Mapping[str, str] = {
    **PAGE,
    # Alpine, which unfold is made with, turns the attributes of our own templates into functions.
    "script-src": "'self' 'unsafe-eval'",
    "form-action": "'self'",
}


class ContentSecurityMiddleware:
    """Puts the policy of its place on every answer that has none of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.places = (
            (reverse("admin:index"), header(ADMIN)),
            (reverse("docs"), header(PAGE)),
            (reverse("privacy:nowhere"), header(FORMS)),
        )

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        found = (policy for place, policy in self.places if request.path.startswith(place))
        response.headers.setdefault("Content-Security-Policy", next(found, header(DATA)))
        return response


def header(policy: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {sources}" for name, sources in policy.items())
