"""The shape of a report over HTTP."""

from typing import Any

from rest_framework import serializers


class FiguresOut(serializers.Serializer[object]):
    received = serializers.IntegerField()
    answered = serializers.IntegerField(help_text="Complied with, nothing held, or denied: what had an answer.")
    compliedInWhole = serializers.IntegerField()
    compliedInPart = serializers.IntegerField()
    noData = serializers.IntegerField()
    denied = serializers.IntegerField()
    withdrawn = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    extended = serializers.IntegerField()
    onTime = serializers.IntegerField()
    onTimeRate = serializers.FloatField(allow_null=True, help_text="Per cent of those answered.")
    medianDays = serializers.FloatField(allow_null=True)
    meanDays = serializers.FloatField(allow_null=True)
    openAtEnd = serializers.IntegerField()
    overdueAtEnd = serializers.IntegerField()


class KindFiguresOut(FiguresOut):
    requestType = serializers.CharField()


class LawFiguresOut(FiguresOut):
    regulation = serializers.CharField()


class LineOut(FiguresOut):
    regulation = serializers.CharField()
    requestType = serializers.CharField()


class DenialOut(serializers.Serializer[object]):
    regulation = serializers.CharField()
    requestType = serializers.CharField()
    ground = serializers.CharField()
    count = serializers.IntegerField()


class CcpaMetricOut(serializers.Serializer[object]):
    metric = serializers.ChoiceField(choices=["delete", "correct", "know", "opt_out", "limit"])
    received = serializers.IntegerField()
    complied = serializers.IntegerField(help_text="In whole or in part.")
    noData = serializers.IntegerField()
    denied = serializers.IntegerField()
    medianDays = serializers.FloatField(allow_null=True)
    meanDays = serializers.FloatField(allow_null=True)


class DeniedBecauseOut(serializers.Serializer[object]):
    notVerifiable = serializers.IntegerField()
    exempt = serializers.IntegerField()
    other = serializers.IntegerField()


class CcpaOut(serializers.Serializer[object]):
    article = serializers.CharField()
    metrics = CcpaMetricOut(many=True)
    deniedBecause = DeniedBecauseOut()


class DsarReportOut(serializers.Serializer[object]):
    to = serializers.DateField()
    timeZone = serializers.CharField()
    totals = FiguresOut()
    byKind = KindFiguresOut(many=True)
    byRegulation = LawFiguresOut(many=True)
    lines = LineOut(many=True)
    denials = DenialOut(many=True)
    states = serializers.DictField(child=serializers.IntegerField(), help_text="Of those received in the period, now.")
    ccpa = CcpaOut()

    def get_fields(self) -> dict[str, Any]:
        # `from` is no name in Python.
        return {"from": serializers.DateField(), **super().get_fields()}
