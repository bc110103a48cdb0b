"""The addresses of a tenant's page."""

from django.urls import path, register_converter

from dsar.public import views
from kaireon.tenancy.models import TENANT_ID


class TenantId:
    regex = TENANT_ID.strip("^$")

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(TenantId, "tenant")

app_name = "privacy"
urlpatterns = [
    path("", views.nowhere, name="nowhere"),
    path("<tenant:tenant>/", views.ask, name="ask"),
    path("<tenant:tenant>/code/", views.code, name="code"),
    path("<tenant:tenant>/code/confirmed/", views.confirmed, name="confirmed"),
    path("<tenant:tenant>/code/again/", views.again, name="again"),
    path("<tenant:tenant>/received/", views.received, name="received"),
    path("<tenant:tenant>/lost/", views.lost, name="lost"),
    path("<tenant:tenant>/lost/sent/", views.lost_sent, name="lost-sent"),
    path("<tenant:tenant>/follow/<str:token>/", views.enter, name="enter"),
    path("<tenant:tenant>/request/", views.follow, name="follow"),
    path("<tenant:tenant>/request/withdraw/", views.withdraw, name="withdraw"),
    path("<tenant:tenant>/request/fetch/", views.fetch, name="fetch"),
    path("<tenant:tenant>/request/fetch/code/", views.fetch_code, name="fetch-code"),
    path("<tenant:tenant>/request/link/", views.renew, name="renew"),
    path("<tenant:tenant>/leave/", views.leave, name="leave"),
]
