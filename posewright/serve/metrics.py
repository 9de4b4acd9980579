"""GET /metrics: what the server does, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from posewright.results import Result

__all__ = ["Metrics"]

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["route", "status"]
        self._requests = Counter(
            "posewright_requests", "Requests answered", labels, registry=self.registry
        )
        self._latency = Histogram(
            "posewright_request_seconds",
            "Time from a request's head to the end of its answer",
            ["route"],
            registry=self.registry,
            buckets=BUCKETS,
        )
        self._frames = Counter("posewright_frames", "Images estimated", registry=self.registry)
        self._people = Counter("posewright_people", "People found", registry=self.registry)
        self._stages = Counter(
            "posewright_stage_seconds",
            "Time in a stage of the pipeline",
            ["stage"],
            registry=self.registry,
        )
        self._queue = Gauge("posewright_queue", "Requests that wait", registry=self.registry)
        self._jobs = Gauge("posewright_jobs", "Jobs by status", ["status"], registry=self.registry)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def result(self, result: Result) -> None:
        """Count an image that was estimated; speed is in ms."""
        self._frames.inc()
        self._people.inc(len(result))
        for stage, spent in result.speed.items():
            self._stages.labels(stage).inc(spent / 1000)

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Ask for the length of the queue whenever the metrics are read."""
        self._queue.set_function(length)

    def text(self, jobs: Mapping[str, int]) -> bytes:
        """Return everything in the text format; jobs: how many there are of each status."""
        for status, count in jobs.items():
            self._jobs.labels(status).set(count)
        found: bytes = generate_latest(self.registry)
        return found
