"""GET /metrics: what every process of this machine counted, and the state of things now."""

from collections.abc import Iterable

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from kaireon.lib import metric_files
from kaireon.ops import gauges


class Counted(Collector):
    """The counters of all processes that share our directory; without one, this process's alone."""

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry would collect to know the names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        folder = metric_files.directory()
        if folder is None:
            return list(REGISTRY.collect())
        with metric_files.reading(folder):
            files = sorted(str(file) for file in folder.glob("*.db"))
            return list(MultiProcessCollector.merge(files))  # type: ignore[no-untyped-call]


def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    made.register(Counted())
    made.register(gauges.STATE)
    return made


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """200 in Prometheus' text format, or OpenMetrics when asked for, whatever is away: see `kaireon_source_up`."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry()), content_type=content_type)
