"""Every route, by name."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from audit import api as audit
from audit.exports import api as exports
from audit.exports import bundle_api, jobs_api
from audit.tree import proof_api
from audit.witness import api as witness_api
from compliance.alerting import api as alerts
from compliance.alerting import providers_api as providers
from compliance.explaining import api as explaining
from compliance.holding import api as holds
from compliance.holding import matters_api as matters
from compliance.purging import dispositions_api as dispositions
from compliance.purging import plans_api as purge_plans
from compliance.purging import preview_api as retention_preview
from compliance.reporting import api as reports
from compliance.retention import api as retention
from compliance.retention import laws_api as retention_laws
from cron import api as cron
from cron import runs_api, scan_api
from customers import api as customers
from customers import returns_api as returns
from dsar.certifying import certificate_api as certificates
from dsar.erasing import cancel_api as erasure_cancel
from dsar.erasing import plans_api as erasure_plans
from dsar.letters import letters_api as letters
from dsar.recipients import recipients_api as recipients
from dsar.reporting import report_api as dsar_reporting
from dsar.requests import api as dsar
from dsar.requests import clocks_api as dsar_clocks
from dsar.requests import life_api as dsar_life
from kaireon.approvals import api as approvals
from kaireon.approvals import members_api as members
from kaireon.flows import api as flows
from kaireon.outbox import api as outbox
from kaireon.tenancy import api as tenancy

api_v1 = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("auth/login", tenancy.LoginView.as_view(), name="auth-login"),
    path("auth/refresh", tenancy.RefreshView.as_view(), name="auth-refresh"),
    path("auth/logout", tenancy.LogoutView.as_view(), name="auth-logout"),
    path("auth/me", tenancy.MeView.as_view(), name="auth-me"),
    path("api-keys", tenancy.ApiKeysView.as_view(), name="api-keys"),
    path("audit-logs", audit.AuditLogsView.as_view(), name="audit-logs"),
    path("audit-logs/verify", audit.AuditVerifyView.as_view(), name="audit-logs-verify"),
    path("audit-export", exports.AuditExportView.as_view(), name="audit-export"),
    path("audit-exports", jobs_api.AuditExportsView.as_view(), name="audit-exports"),
    path("audit-exports/<uuid:export_id>", jobs_api.AuditExportStatusView.as_view(), name="audit-export-status"),
    path(
        "audit-exports/<uuid:export_id>/download",
        jobs_api.AuditExportDownloadView.as_view(),
        name="audit-export-download",
    ),
    path("audit-logs/bundle", bundle_api.AuditBundleView.as_view(), name="audit-logs-bundle"),
    path("audit-logs/checkpoint", proof_api.AuditCheckpointView.as_view(), name="audit-logs-checkpoint"),
    path("audit-logs/consistency", proof_api.AuditConsistencyView.as_view(), name="audit-logs-consistency"),
    path("audit-logs/<uuid:record_id>", audit.AuditLogView.as_view(), name="audit-log"),
    path("audit-logs/<uuid:record_id>/proof", proof_api.AuditProofView.as_view(), name="audit-log-proof"),
    path("customers", customers.CustomersView.as_view(), name="customers"),
    path("customers/<path:customer_id>", customers.CustomerView.as_view(), name="customer"),
    path("customer-returns", returns.CustomerReturnsView.as_view(), name="customer-returns"),
    path("interactions", customers.InteractionsView.as_view(), name="interactions"),
    path("consents", customers.ConsentsView.as_view(), name="consents"),
    path("api-keys/<uuid:key_id>", tenancy.ApiKeyRevokeView.as_view(), name="api-key-revoke"),
    path("members", members.MembersView.as_view(), name="members"),
    path("members/<uuid:membership_id>", members.MemberView.as_view(), name="member"),
    path("approvals", approvals.ApprovalsView.as_view(), name="approvals"),
    path("approvals/<uuid:approval_id>", approvals.ApprovalView.as_view(), name="approval"),
    path("admin/jobs", runs_api.JobRunsView.as_view(), name="jobs"),
    path("admin/dlq", outbox.DeadLettersView.as_view(), name="dlq"),
    path(
        "admin/retention-configs/<uuid:policy_id>/pending",
        retention.PendingView.as_view(),
        name="retention-config-pending",
    ),
    path("admin/retention-configs/preview", retention_preview.RetentionPreviewView.as_view(), name="retention-preview"),
    path("admin/retention-configs/conflicts", retention_laws.ConflictsView.as_view(), name="retention-conflicts"),
    path("admin/retention-laws", retention_laws.LawsView.as_view(), name="retention-laws"),
    path("admin/retention-configs", retention.RetentionConfigsView.as_view(), name="retention-configs"),
    path("admin/legal-holds", holds.HoldsView.as_view(), name="legal-holds"),
    path("admin/legal-holds/preview", holds.HoldPreviewView.as_view(), name="legal-holds-preview"),
    path("admin/legal-holds/notices", holds.NoticesView.as_view(), name="legal-holds-notices"),
    path("admin/legal-holds/<uuid:hold_id>", holds.HoldView.as_view(), name="legal-hold"),
    path("admin/legal-holds/<uuid:hold_id>/release", holds.HoldReleaseView.as_view(), name="legal-hold-release"),
    path("admin/legal-holds/<uuid:hold_id>/take-back", holds.HoldTakeBackView.as_view(), name="legal-hold-take-back"),
    path(
        "admin/legal-holds/<uuid:hold_id>/acknowledge",
        holds.HoldAcknowledgeView.as_view(),
        name="legal-hold-acknowledge",
    ),
    path("admin/matters", matters.MattersView.as_view(), name="matters"),
    path("admin/matters/<uuid:matter_id>", matters.MatterView.as_view(), name="matter"),
    path("admin/matters/<uuid:matter_id>/close", matters.MatterCloseView.as_view(), name="matter-close"),
    path("retention/plans", purge_plans.PlansView.as_view(), name="purge-plans"),
    path("retention/plans/<uuid:plan_id>", purge_plans.PlanView.as_view(), name="purge-plan"),
    path("retention/plans/<uuid:plan_id>/apply", purge_plans.PlanApplyView.as_view(), name="purge-plan-apply"),
    path("retention/dispositions", dispositions.DispositionsView.as_view(), name="dispositions"),
    path("retention/explain", explaining.ExplainView.as_view(), name="retention-explain"),
    path("dsar", dsar.DsarRequestsView.as_view(), name="dsar"),
    path("dsar/report", dsar_reporting.DsarReportView.as_view(), name="dsar-report"),
    path("dsar/<uuid:request_id>", dsar.DsarRequestView.as_view(), name="dsar-request"),
    path("dsar/<uuid:request_id>/clock", dsar_clocks.DsarClockView.as_view(), name="dsar-clock"),
    path("dsar/<uuid:request_id>/extend", dsar_clocks.DsarExtendView.as_view(), name="dsar-extend"),
    path("dsar/<uuid:request_id>/pause", dsar_clocks.DsarPauseView.as_view(), name="dsar-pause"),
    path("dsar/<uuid:request_id>/resume", dsar_clocks.DsarResumeView.as_view(), name="dsar-resume"),
    path("dsar/<uuid:request_id>/certificate", certificates.DsarCertificateView.as_view(), name="dsar-certificate"),
    path("dsar/<uuid:request_id>/download", dsar.DsarDownloadView.as_view(), name="dsar-download"),
    path("dsar/<uuid:request_id>/plan", erasure_plans.ErasurePlanView.as_view(), name="dsar-plan"),
    path("dsar/<uuid:request_id>/cancel", erasure_cancel.DsarCancelView.as_view(), name="dsar-cancel"),
    path("dsar/<uuid:request_id>/timeline", dsar_life.DsarTimelineView.as_view(), name="dsar-timeline"),
    path("dsar/<uuid:request_id>/identity/code", dsar_life.DsarCodeView.as_view(), name="dsar-identity-code"),
    path("dsar/<uuid:request_id>/identity/verify", dsar_life.DsarVerifyView.as_view(), name="dsar-identity-verify"),
    path("dsar/<uuid:request_id>/identity/vouch", dsar_life.DsarVouchView.as_view(), name="dsar-identity-vouch"),
    path("dsar/<uuid:request_id>/reject", dsar_life.DsarRejectView.as_view(), name="dsar-reject"),
    path("dsar/<uuid:request_id>/withdraw", dsar_life.DsarWithdrawView.as_view(), name="dsar-withdraw"),
    path("dsar/<uuid:request_id>/complete", dsar_life.DsarCompleteView.as_view(), name="dsar-complete"),
    path("dsar/<uuid:request_id>/assign", dsar_life.DsarAssignView.as_view(), name="dsar-assign"),
    path("dsar/<uuid:request_id>/letters", letters.DsarLettersView.as_view(), name="dsar-letters"),
    path(
        "dsar/<uuid:request_id>/letters/preview",
        letters.DsarLetterPreviewView.as_view(),
        name="dsar-letter-preview",
    ),
    path("dsar/<uuid:request_id>/letters/<uuid:letter_id>", letters.DsarLetterView.as_view(), name="dsar-letter"),
    path(
        "dsar/<uuid:request_id>/letters/<uuid:letter_id>/retry",
        letters.DsarLetterRetryView.as_view(),
        name="dsar-letter-retry",
    ),
    path(
        "dsar/<uuid:request_id>/letters/<uuid:letter_id>/mark",
        letters.DsarLetterMarkView.as_view(),
        name="dsar-letter-mark",
    ),
    path("dsar/recipients", recipients.RecipientsView.as_view(), name="recipients"),
    path("dsar/<uuid:request_id>/notices", recipients.DsarNoticesView.as_view(), name="dsar-notices"),
    path(
        "dsar/<uuid:request_id>/notices/<uuid:notice_id>/not-told",
        recipients.DsarNotToldView.as_view(),
        name="dsar-notice-not-told",
    ),
    path("gdpr/erasure", dsar.ErasureView.as_view(), name="gdpr-erasure"),
    path("pipelines", flows.PipelinesView.as_view(), name="pipelines"),
    path("pipelines/execute", flows.PipelinesExecuteView.as_view(), name="pipelines-execute"),
    path("pipelines/<uuid:pipeline_id>", flows.PipelineDetailView.as_view(), name="pipeline"),
    path("pipelines/<uuid:pipeline_id>/execute", flows.PipelineExecuteView.as_view(), name="pipeline-execute"),
    path("pipelines/<uuid:pipeline_id>/runs", flows.PipelineRunsView.as_view(), name="pipeline-runs"),
    path(
        "pipelines/<uuid:pipeline_id>/runs/<uuid:run_id>/progress",
        flows.RunProgressView.as_view(),
        name="pipeline-run-progress",
    ),
    path("cron/security-behavioral-scan", scan_api.SecurityScanView.as_view(), name="security-scan"),
    path("alerts", alerts.AlertsView.as_view(), name="alerts"),
    path("alerts/metrics", alerts.AlertMetricsView.as_view(), name="alert-metrics"),
    path("alerts/<uuid:rule_id>", alerts.AlertRuleView.as_view(), name="alert"),
    path("alerts/<uuid:rule_id>/history", alerts.AlertHistoryView.as_view(), name="alert-history"),
    path("alerts/<uuid:rule_id>/acknowledge", alerts.AlertAcknowledgeView.as_view(), name="alert-acknowledge"),
    path("alerts/<uuid:rule_id>/silence", alerts.AlertSilenceView.as_view(), name="alert-silence"),
    path("notifications/providers", providers.ProvidersView.as_view(), name="notification-providers"),
    path(
        "notifications/providers/<uuid:provider_id>",
        providers.NotificationProviderView.as_view(),
        name="notification-provider",
    ),
    path(
        "notifications/providers/<uuid:provider_id>/test",
        providers.ProviderTestView.as_view(),
        name="notification-provider-test",
    ),
    path("reports", reports.ReportsView.as_view(), name="reports"),
    path("reports/templates", reports.ReportTemplatesView.as_view(), name="report-templates"),
    path("reports/schedules", reports.ReportSchedulesView.as_view(), name="report-schedules"),
    path("reports/schedules/<uuid:schedule_id>", reports.ReportScheduleView.as_view(), name="report-schedule"),
    path(
        "reports/schedules/<uuid:schedule_id>/run",
        reports.ReportScheduleRunView.as_view(),
        name="report-schedule-run",
    ),
    path("reports/runs", reports.ReportRunsView.as_view(), name="report-runs"),
    path("reports/runs/<uuid:run_id>", reports.ReportRunView.as_view(), name="report-run"),
    path("reports/runs/<uuid:run_id>/again", reports.ReportRunAgainView.as_view(), name="report-run-again"),
    path("reports/runs/<uuid:run_id>/download", reports.ReportDownloadView.as_view(), name="report-run-download"),
    path("cron/<str:name>", cron.CronView.as_view(), name="cron"),
]

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api_v1)),
    path("api/cron/security-behavioral-scan", scan_api.SecurityScanAtOldAddress.as_view(), name="security-scan-old"),
    path("api/cron/tick", cron.TickView.as_view(), name="cron-tick"),
    path("privacy/", include("dsar.public.urls")),
    path("witness/v1/add-checkpoint", witness_api.add_checkpoint, name="witness-add-checkpoint"),
]

handler400 = "kaireon.tenancy.admin_errors.bad_request"
handler403 = "kaireon.tenancy.admin_errors.forbidden"
handler404 = "kaireon.tenancy.admin_errors.not_found"
handler500 = "kaireon.tenancy.admin_errors.server_error"
