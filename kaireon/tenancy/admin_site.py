"""The admin site: open to members of the chosen tenant, closed to everybody else and to pages that know no tenants."""

from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from unfold.forms import AuthenticationForm
from unfold.sites import UnfoldAdminSite

from kaireon.api import throttles
from kaireon.api.errors import TooManyRequests
from kaireon.api.logs import request_id
from kaireon.tenancy import signals
from kaireon.tenancy.addresses import source_address
from kaireon.tenancy.admin_pages import TenantModelAdmin
from kaireon.tenancy.api import LOGIN_FAILURES
from kaireon.tenancy.context import PLATFORM
from kaireon.tenancy.middleware import choose_tenant, switch_tenant
from kaireon.tenancy.models import User

REFUSED = "E-mail or password is wrong, or the account is locked."
# Django's routes that have no place here: its search and its links out know neither roles nor tenants.
LEFT_OUT = frozenset({"search", "view_on_site", "logout"})


class SignInForm(AuthenticationForm):  # type: ignore[misc]
    """Wrong, unknown, locked and inactive look the same."""

    error_messages = {"invalid_login": REFUSED, "inactive": REFUSED}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "E-mail"
        self.fields["username"].widget.input_type = "email"
        self.fields["username"].widget.attrs["autocomplete"] = "username"

    def confirm_login_allowed(self, user: Any) -> None:
        """Whether somebody may enter is decided by membership, when they are inside."""

    def get_invalid_login_error(self) -> forms.ValidationError:
        return forms.ValidationError(REFUSED, code="invalid_login")


class KaireonAdminSite(UnfoldAdminSite):  # type: ignore[misc]
    """What each page allows is in the role table; nobody is a superuser."""

    login_form = SignInForm
    enable_nav_sidebar = True

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Take our own pages only: those that other packages bring ask for neither tenant nor role."""
        if isinstance(admin_class, type) and issubclass(admin_class, TenantModelAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        # Unfold writes its colours into each page, whose policy refuses that: ours are in kaireon/palette.css.
        return {**super().each_context(request), "colors": None}

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Of one application for its page; of all for nobody, since the menu is our own, and they would be made for
        every page."""
        found: list[Any] = super().get_app_list(request, app_label) if app_label else []
        return found

    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and getattr(request, "principal", None) is not None

    def get_urls(self) -> list[URLResolver | URLPattern]:
        ours = [
            path("switch-tenant/", self.admin_view(switch_tenant), name="switch_tenant"),
            # Signing out is open to those, too, whom the site has nothing to show.
            path("logout/", csrf_protect(self.logout), name="logout"),
        ]
        return [*ours, *(url for url in super().get_urls() if getattr(url, "name", None) not in LEFT_OUT)]

    def search(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        raise Http404

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Sign in. At most ten failures a minute from one address, and a successful one is recorded."""
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_authenticated:
            return render(request, "admin/no_tenant.html", {"account": request.user}, status=403)
        if request.headers.get("HX-Request"):
            # A part of a page asked, and the session has ended meanwhile: the whole page comes here instead.
            return HttpResponse(headers={"HX-Refresh": "true"})
        if request.method != "POST":
            form: HttpResponse = super().login(request, extra_context)
            return form
        try:
            with throttles.attempt(LOGIN_FAILURES, source_address(request)) as attempt:
                response: HttpResponse = super().login(request, extra_context)
                attempt.failed = _was_refused(response)
        except TooManyRequests as refused:
            context = {"wait": refused.headers["Retry-After"]}
            answer = render(request, "admin/too_many_attempts.html", context, status=429)
            answer["Retry-After"] = refused.headers["Retry-After"]
            return answer
        if not isinstance(response, TemplateResponse):
            _note_sign_in(request)
        return response


def _was_refused(response: HttpResponse) -> bool:
    """Whether the form came back because of the credentials, not because something was left out."""
    form = (response.context_data or {}).get("form") if isinstance(response, TemplateResponse) else None
    return form is not None and bool(form.has_error(NON_FIELD_ERRORS))


def _note_sign_in(request: HttpRequest) -> None:
    if isinstance(request.user, User):
        principal = choose_tenant(request)
        signals.logged_in.send(
            sender=KaireonAdminSite,
            user=request.user,
            tenant_id=principal.tenant_id if principal else PLATFORM,
            request_id=request_id(),
            method="admin",
        )
