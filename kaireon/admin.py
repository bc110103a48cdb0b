"""What the admin shows on every page: the menu, the tenants one may switch to, the search."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.http import HttpRequest
from django.urls import get_script_prefix, get_urlconf, reverse

from compliance.holding import custodians_admin, notices
from kaireon.approvals import inbox_admin
from kaireon.home import dashboard
from kaireon.tenancy.admin_pages import may
from kaireon.tenancy.context import in_transaction
from kaireon.tenancy.resolver import MembershipRow
from kaireon.tenancy.roles import Permission

__all__ = ["dashboard", "everywhere", "navigation", "tenant_switcher"]


@dataclass(frozen=True, kw_only=True)
class Page:
    title: str
    icon: str
    model: str
    permission: Permission
    # Another page of the model than its list.
    page: str = "changelist"


NAVIGATION: dict[str, tuple[Page, ...]] = {
    "Compliance": (
        Page(
            title="Request desk",
            icon="view_kanban",
            model="dsar_dsarrequest",
            permission=Permission.READ_DSAR,
            page="board",
        ),
        Page(title="Subject requests", icon="inbox", model="dsar_dsarrequest", permission=Permission.READ_DSAR),
        Page(
            title="Retention",
            icon="schedule",
            model="compliance_retentionpolicy",
            permission=Permission.READ_RETENTION,
        ),
        Page(title="Legal holds", icon="lock", model="compliance_hold", permission=Permission.READ_RETENTION),
        Page(title="Matters", icon="gavel", model="compliance_matter", permission=Permission.READ_RETENTION),
        Page(
            title="Hold templates",
            icon="lock_clock",
            model="compliance_holdtemplate",
            permission=Permission.READ_RETENTION,
        ),
        Page(
            title="Purge plans",
            icon="delete_sweep",
            model="compliance_purgeplan",
            permission=Permission.READ_RETENTION,
        ),
        Page(
            title="Dispositions",
            icon="receipt_long",
            model="compliance_disposition",
            permission=Permission.READ_RETENTION,
        ),
        Page(title="Recipients", icon="share", model="dsar_recipient", permission=Permission.READ_DSAR),
        Page(
            title="Declared and actual",
            icon="difference",
            model="compliance_drift",
            permission=Permission.READ_RETENTION,
        ),
        Page(title="Reports", icon="lab_profile", model="compliance_reportrun", permission=Permission.READ_REPORTS),
        Page(
            title="Report schedules",
            icon="event_repeat",
            model="compliance_reportschedule",
            permission=Permission.READ_REPORTS,
        ),
        Page(title="Audit log", icon="verified_user", model="audit_auditrecord", permission=Permission.READ_AUDIT),
        Page(title="Log exports", icon="folder_zip", model="audit_auditexport", permission=Permission.EXPORT_AUDIT),
        Page(
            title="Security signals",
            icon="shield",
            model="compliance_securitysignal",
            permission=Permission.HANDLE_SIGNALS,
        ),
        Page(
            title="Approvals",
            icon="approval_delegation",
            model="approvals_approvalrequest",
            permission=Permission.READ_APPROVALS,
        ),
    ),
    "Customers": tuple(
        Page(title=title, icon=icon, model=f"customers_{model}", permission=Permission.READ_CUSTOMERS)
        for title, icon, model in (
            ("Customers", "group", "customer"),
            ("Interactions", "shopping_bag", "interaction"),
            ("Summaries", "functions", "interactionsummary"),
            ("Engagement", "monitoring", "engagementday"),
            ("Engagement health", "cardiology", "engagementhealth"),
            ("Decisions", "alt_route", "decisiontrace"),
            ("Attribution", "pie_chart", "attributionresult"),
            ("Variants", "science", "variantassignment"),
            ("Journeys", "route", "journeyenrollment"),
            ("Deliveries", "send", "delivery"),
            ("Consents", "task_alt", "consentrecord"),
            ("Suppressions", "do_not_disturb_on", "suppression"),
            ("Identity links", "link", "identitylink"),
            ("Attachments", "attach_file", "attachment"),
            ("Own tables", "table", "dynamicschema"),
            ("Own rows", "table_rows", "dynamicrow"),
            ("Tombstones", "tag", "suppressiontombstone"),
            ("Erased people", "person_off", "erasedsubject"),
        )
    ),
    "Operations": (
        Page(title="Alerts", icon="notifications", model="compliance_alertrule", permission=Permission.READ_ALERTS),
        Page(
            title="Notification providers",
            icon="forward_to_inbox",
            model="compliance_notificationprovider",
            permission=Permission.READ_ALERTS,
        ),
        Page(title="Job runs", icon="play_circle", model="cron_jobrun", permission=Permission.READ_JOBS),
        Page(title="Background jobs", icon="conveyor_belt", model="jobs_job", permission=Permission.READ_JOBS),
        Page(title="Pipelines", icon="account_tree", model="flows_pipeline", permission=Permission.MANAGE_PIPELINES),
        Page(title="Pipeline runs", icon="timeline", model="flows_flowrun", permission=Permission.MANAGE_PIPELINES),
        Page(
            title="Retrain schedules",
            icon="model_training",
            model="customers_retrainschedule",
            permission=Permission.READ_JOBS,
        ),
        Page(
            title="Model versions",
            icon="neurology",
            model="customers_propensityversion",
            permission=Permission.READ_JOBS,
        ),
        Page(title="Messages out", icon="outbox", model="outbox_message", permission=Permission.READ_JOBS),
        Page(title="Dead letters", icon="report", model="outbox_deadletter", permission=Permission.RUN_JOBS),
        Page(title="Destinations", icon="webhook", model="outbox_destination", permission=Permission.RUN_JOBS),
        Page(
            title="SIEM destinations",
            icon="radar",
            model="audit_siemdestination",
            permission=Permission.EXPORT_AUDIT,
        ),
        Page(title="Imports", icon="upload_file", model="customers_importrun", permission=Permission.READ_JOBS),
    ),
    "Settings": (
        Page(title="API keys", icon="key", model="tenancy_apikey", permission=Permission.MANAGE_KEYS),
        Page(title="Members", icon="badge", model="tenancy_membership", permission=Permission.MANAGE_MEMBERS),
    ),
}

# What the product is for.
ALWAYS_OPEN = frozenset({"Compliance"})


def address(view: str) -> str:
    """Of a page that takes nothing: some fifty of them are linked on each page, and they never move."""
    return _address(view, get_script_prefix(), get_urlconf())


@cache
def _address(view: str, _prefix: str, _urlconf: str | None) -> str:
    return reverse(view)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    groups = []
    for title, pages in NAVIGATION.items():
        items = [
            {"title": page.title, "icon": page.icon, "link": address(f"admin:{page.model}_{page.page}")}
            for page in pages
            if may(request, page.permission)
        ]
        if items:
            groups.append({"title": title, "items": items, "collapsible": title not in ALWAYS_OPEN and len(items) > 5})
    own: list[dict[str, Any]] = [{"title": "Home", "icon": "home", "link": address("admin:index")}]
    if may(request, Permission.DECIDE_APPROVALS):
        count = inbox_admin.count_for(request)
        own.append(
            {
                "title": inbox_admin.TITLE,
                "icon": "how_to_reg",
                "link": address(f"admin:{inbox_admin.PAGE}"),
                "waiting": count,
            }
        )
    if asked_to_keep(request):
        own.append({"title": custodians_admin.TITLE, "icon": "inventory_2", "link": address(custodians_admin.ASKED)})
    return _with_place([{"items": own}, *groups], request.path)


def _with_place(groups: list[dict[str, Any]], path: str) -> list[dict[str, Any]]:
    """Mark where one is: one item alone, the one whose address says most of the page's."""
    items = [item for group in groups for item in group["items"]]
    home = address("admin:index")
    leading = [item["link"] for item in items if path.startswith(item["link"]) and item["link"] != home]
    here = max(leading, key=len, default=path)
    for item in items:
        item["active"] = item["link"] == here
    return groups


def asked_to_keep(request: HttpRequest) -> int:
    """How many holds wait for this member's word, whatever their role."""
    principal = getattr(request, "principal", None)
    if principal is None or not in_transaction():
        return 0
    return notices.waiting_for(principal.actor.id).count()


def tenant_switcher(request: HttpRequest) -> list[dict[str, Any]]:
    principal = getattr(request, "principal", None)
    members: list[MembershipRow] = getattr(request, "tenants", [])
    return [
        {
            "title": member.tenant_name,
            "link": address("admin:switch_tenant"),
            "attrs": {
                "tenant": member.tenant_id,
                "role": member.role,
                "current": principal is not None and member.tenant_id == principal.tenant_id,
            },
        }
        for member in members
    ]


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """On every page: where the search field at the top of the menu looks, and where it is told why a record is kept."""
    can_find, can_ask = may(request, Permission.READ_CUSTOMERS), may(request, Permission.READ_RETENTION)
    return {
        "k_find_customers": _list("customers_customer") if can_find else None,
        "k_explain": address("admin:compliance_retentionpolicy_explain") if can_ask else None,
    }


def _list(model: str) -> str:
    return address(f"admin:{model}_changelist")
