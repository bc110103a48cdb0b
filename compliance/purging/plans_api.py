"""Plans of a purge over HTTP: /api/v1/retention/plans."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from compliance.models import PlanState, PurgePlan
from compliance.purging import applying, comparing, plans, refusals
from compliance.purging.refusals import PlanRefused
from compliance.refusing import RefusingView
from customers.catalogue import CLEANUP, DATA_CLASSES, DSAR_PURGE
from kaireon.api.errors import BadRequest, Conflict, Forbidden, NotFound
from kaireon.api.paging import page_of
from kaireon.api.serializers import ErrorBodySerializer, PageOut, StrictSerializer
from kaireon.approvals import services as approvals
from kaireon.jobs import services as jobs
from kaireon.jobs.models import Job
from kaireon.lib import clock
from kaireon.tenancy.roles import Permission
from kaireon.tenancy.views import TenantAPIView, TenantRequest


class PlanIn(StrictSerializer):
    dataClasses = serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, min_length=1, help_text="Default: all."
    )
    sweptBy = serializers.ChoiceField(choices=[CLEANUP, DSAR_PURGE], default=CLEANUP)


class PlanOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    state = serializers.CharField(help_text=f"One of {', '.join(PlanState.values)}.")
    rows = serializers.IntegerField()
    digest = serializers.CharField(help_text="SHA-256 over all that the plan says.")
    asOf = serializers.DateTimeField()
    validUntil = serializers.DateTimeField()
    sweptBy = serializers.CharField()
    dataClasses = serializers.ListField(child=serializers.CharField(), allow_null=True)
    held = serializers.ListField(child=serializers.CharField())
    withoutPolicy = serializers.ListField(child=serializers.CharField())
    approvalId = serializers.UUIDField(allow_null=True)
    madeByName = serializers.CharField()
    approvedByName = serializers.CharField()
    appliedByName = serializers.CharField()
    startedAt = serializers.DateTimeField(allow_null=True)
    finishedAt = serializers.DateTimeField(allow_null=True)
    deleted = serializers.IntegerField()
    percent = serializers.IntegerField()
    error = serializers.CharField(allow_null=True)


class PlanItemOut(serializers.Serializer[Any]):
    dataClass = serializers.CharField()
    entity = serializers.CharField()
    clock = serializers.CharField()
    before = serializers.DateTimeField()
    floorBefore = serializers.DateTimeField(
        allow_null=True, help_text="Before which the rows' own clock must stand too: a law asks for it."
    )
    retentionDays = serializers.IntegerField(allow_null=True)
    policyClass = serializers.CharField(help_text="The class whose policy it was: another one's under `strictest`.")
    policyVersion = serializers.IntegerField()
    law = serializers.CharField()
    rows = serializers.IntegerField()
    clockFrom = serializers.DateTimeField()
    clockUntil = serializers.DateTimeField()
    newest = serializers.UUIDField()
    fingerprint = serializers.CharField()
    heldRows = serializers.IntegerField()
    heldFingerprint = serializers.CharField()
    deleted = serializers.IntegerField()
    done = serializers.BooleanField()
    rowsNow = serializers.IntegerField()
    heldNow = serializers.BooleanField()
    policyChanged = serializers.BooleanField()


class PlanWithItemsOut(PlanOut):
    items = PlanItemOut(many=True)


class PlansOut(PageOut):
    plans = PlanOut(many=True)


class PlanApplyOut(serializers.Serializer[Any]):
    planId = serializers.UUIDField()
    jobId = serializers.UUIDField()
    state = serializers.CharField()


class PlansView(RefusingView):
    refused_verb = refusals.VERB
    entity_type = "PurgePlan"
    permissions = {"GET": Permission.READ_RETENTION, "POST": Permission.MANAGE_RETENTION}
    idempotent = True

    @extend_schema(
        responses=PlansOut,
        operation_id="retention_plans_list",
        parameters=[OpenApiParameter(name, int) for name in ("page", "limit")],
    )
    def get(self, request: TenantRequest) -> Response:
        """The tenant's plans, newest first."""
        page = page_of(request, PurgePlan.objects.newest_first())
        listed = [wire(plan) for plan in page.items]
        return Response(page.answer(plans=listed))

    @extend_schema(
        request=PlanIn,
        responses={201: PlanWithItemsOut, **dict.fromkeys((400, 403), ErrorBodySerializer)},
        operation_id="retention_plans_create",
    )
    def post(self, request: TenantRequest) -> Response:
        """Plan a purge: what would go, to the row. Where a second person must agree, they are asked."""
        given = PlanIn(data=request.data)
        given.is_valid(raise_exception=True)
        classes = given.validated_data.get("dataClasses")
        if unknown := sorted(set(classes or ()) - set(DATA_CLASSES)):
            known = ", ".join(sorted(DATA_CLASSES))
            raise BadRequest(f"{unknown[0]!r} is unknown; known are {known}.", field="dataClasses")
        now = clock.now()
        try:
            plan = plans.make(actor=request.actor, now=now, classes=classes, swept_by=given.validated_data["sweptBy"])
        except (approvals.RequesterMayNot, plans.AskerNeeded) as error:
            raise Forbidden from error
        return Response({**wire(plan), "items": comparing.differences(plan, now=now)}, status=201)


class PlanView(TenantAPIView):
    permission = Permission.READ_RETENTION

    @extend_schema(responses={200: PlanWithItemsOut, 404: ErrorBodySerializer}, operation_id="retention_plans_get")
    def get(self, request: TenantRequest, plan_id: UUID) -> Response:
        """One plan, each item beside what is there now."""
        plan = PurgePlan.objects.filter(pk=plan_id).first()
        if plan is None:
            raise NotFound
        return Response({**wire(plan), "items": comparing.differences(plan, now=clock.now())})


class PlanApplyView(RefusingView):
    refused_verb = refusals.VERB
    entity_type = "PurgePlan"
    noted_already = (PlanRefused, PurgePlan.DoesNotExist)
    permission = Permission.MANAGE_RETENTION
    idempotent = True
    # A refusal is recorded, and the answer must not take that back.
    atomic = False

    @extend_schema(
        request=None,
        responses={202: PlanApplyOut, **dict.fromkeys((404, 409), ErrorBodySerializer)},
        operation_id="retention_plans_apply",
    )
    def post(self, request: TenantRequest, plan_id: UUID) -> Response:
        """Apply a plan in the background; refused with the reason when anything is not as it was planned."""
        try:
            begun = applying.begin(plan_id=plan_id, actor=request.actor, now=clock.now(), in_background=True)
        except PurgePlan.DoesNotExist as error:
            raise NotFound from error
        except PlanRefused as refusal:
            raise Conflict(str(refusal), code=refusal.code) from refusal
        job = begun.job
        if job is None:
            raise NotFound
        self.after_commit(lambda: _wake(job))
        return Response({"planId": str(plan_id), "jobId": str(job.pk), "state": begun.plan.state}, status=202)


def wire(plan: PurgePlan) -> dict[str, Any]:
    """A plan in camelCase, without its items."""
    deleted = sum(item.deleted for item in plans.items_of(plan))
    return {
        "id": str(plan.pk),
        "state": plan.state,
        "rows": plan.rows,
        "digest": plan.digest,
        "asOf": clock.rfc3339(plan.as_of),
        "validUntil": clock.rfc3339(plan.as_of + plans.VALID_FOR),
        "sweptBy": plan.swept_by,
        "dataClasses": plan.classes,
        "held": plan.held,
        "withoutPolicy": plan.without_policy,
        "approvalId": str(plan.approval_id) if plan.approval_id else None,
        "madeByName": plan.made_by_name,
        "approvedByName": plan.approved_by_name,
        "appliedByName": plan.applied_by_name,
        "startedAt": clock.rfc3339(plan.started_at) if plan.started_at else None,
        "finishedAt": clock.rfc3339(plan.finished_at) if plan.finished_at else None,
        "deleted": deleted,
        "percent": 100 if plan.state == PlanState.APPLIED else 100 * deleted // max(plan.rows, 1),
        "error": plan.error or None,
    }


def _wake(job: Job) -> None:
    jobs.wake(job)
