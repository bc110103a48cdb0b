"""The pages of an admin page's verbs: a form or a mere yes, then one call of a service, or its refusal in words."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst
from unfold.admin import ModelAdmin

from kaireon.tenancy.confirming import ConfirmedForm
from kaireon.tenancy.context import transaction

M = TypeVar("M", bound=Model)


def given_by(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: a POST, even an empty one."""
    return request.POST if request.method == "POST" else None


class VerbPages(ModelAdmin, Generic[M]):  # type: ignore[misc]
    """What a verb of an admin page is written with."""

    def row(self, request: HttpRequest, object_id: str) -> M:
        """The row a verb is about. Raises Http404 for another tenant's as for none."""
        found: M | None = self.get_object(request, object_id)
        if found is None:
            raise Http404
        return found

    def url(self, page: str, *args: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=args)

    def ask(
        self,
        request: HttpRequest,
        *,
        title: str,
        form: forms.Form,
        do: Callable[[dict[str, Any]], HttpResponse],
        refusals: Mapping[type[Exception], str] | None = None,
        lead: str = "",
        submit: str,
        cancel: str,
        danger: bool = False,
    ) -> HttpResponse:
        """The page of a verb: what will happen, its form, and on a valid POST one call of `do`.

        What `do` raises among `refusals` is shown beside the form, in the words given; empty means its own. One that
        knows its `field` is shown there.
        """
        if request.method == "POST" and form.is_valid():
            try:
                with transaction():
                    return do(form.cleaned_data)
            except tuple(refusals or ()) as refusal:
                self.on_refusal(request, refusal)
                words = next(text for kind, text in (refusals or {}).items() if isinstance(refusal, kind))
                field = getattr(refusal, "field", None)
                form.add_error(field if field in form.fields else None, capfirst(words or str(refusal)))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "headline": title,
            "form": form,
            "lead": lead,
            "submit": submit,
            "cancel": cancel,
            "danger": danger,
            **(form.shown() if isinstance(form, ConfirmedForm) else {}),
        }
        return TemplateResponse(request, "admin/verb.html", context)

    def confirm(
        self,
        request: HttpRequest,
        row: M,
        do: Callable[[], str],
        *,
        title: str,
        lead: str,
        submit: str,
        refusals: Mapping[type[Exception], str] | None = None,
        danger: bool = False,
        to_list: bool = False,
    ) -> HttpResponse:
        """The page of a verb on `row` that asks for nothing but a yes: `do` does it and answers what to say of it.

        Then the row's page is shown, or the list, where the row is gone.
        """

        def done(given: dict[str, Any]) -> HttpResponse:
            self.succeed(request, do())
            return HttpResponseRedirect(self.url("changelist") if to_list else self.url("change", row.pk))

        return self.ask(
            request,
            title=title,
            lead=lead,
            form=forms.Form(given_by(request)),
            do=done,
            refusals=refusals,
            submit=submit,
            cancel=self.url("change", row.pk),
            danger=danger,
        )

    def on_refusal(self, request: HttpRequest, refusal: Exception) -> None:
        """Told of each refusal that `ask` shows: pages that record them do so here, with `after_commit`."""

    def after_commit(self, request: HttpRequest, call: Callable[[], object]) -> None:
        """Run `call` when the page's transaction has been committed."""
        request.__dict__.setdefault("after_commit", []).append(call)

    def succeed(self, request: HttpRequest, text: str) -> None:
        self.message_user(request, text, messages.SUCCESS)
