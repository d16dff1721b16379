"""What is known of a state directory, as Prometheus metrics."""

from collections.abc import Iterator, Mapping

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from vod2strmfs.artwork.figures import Figures as ArtworkFigures
from vod2strmfs.films.figures import Figures as LearningFigures
from vod2strmfs.hydrate.figures import Figures
from vod2strmfs.status.runs import Runs
from vod2strmfs.status.state import MountState
from vod2strmfs.web.known import Known

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def render(known: Known) -> bytes:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(known))
    return generate_latest(registry)


class _Collector:
    def __init__(self, known: Known) -> None:
        self._known = known

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        mount, films, runs, hydrate, artwork, learning = self._known
        is_up = mount is not None or (runs is not None and runs.is_alive)
        yield GaugeMetricFamily("vod2strmfs_up", "Whether the mount answers, or the service runs.", value=is_up)
        if mount is not None:
            yield from _metrics(mount)
        if hydrate is not None:
            yield from _filling(hydrate)
        if runs is not None:
            yield from _materializing(runs)
        if artwork is not None:
            yield from _images(artwork)
        if learning is not None:
            yield from _learning(learning)
            is_up = films is not None
            yield GaugeMetricFamily("vod2strmfs_films_up", "Whether the mount of films answers.", value=is_up)
        if films is not None:
            yield from _films(films)


def _gauges(prefix: str, gauges: Mapping[str, tuple[str, float]]) -> Iterator[Metric]:
    """Gauges by the names that stand behind a prefix: what each says, and its value."""
    for name, (text, value) in gauges.items():
        yield GaugeMetricFamily(f"vod2strmfs_{prefix}{name}", text, value=value)


def _by(label: str, name: str, text: str, values: Mapping[str, float]) -> Metric:
    """A gauge with a value for each value of a label."""
    family = GaugeMetricFamily(f"vod2strmfs_{name}", text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _materializing(runs: Runs) -> Iterator[Metric]:
    gauges: dict[str, tuple[str, float]] = {}
    if runs.service:
        gauges |= {
            "service_start_time_seconds": ("When the service that materializes started.", runs.service.started),
            "next_run_time_seconds": ("When it runs next; 0: when the catalogue changes.", runs.service.next_run),
            "running_since_seconds": ("Since when a run is in progress; 0: none is.", runs.service.running_since),
            "service_stale_since_seconds": ("Since when it cannot read the database.", runs.service.stale_since),
        }
    if runs.last:
        gauges |= {
            "last_run_time_seconds": ("When the last run ended.", runs.last.ended),
            "last_run_seconds": ("How long it took.", runs.last.ended - runs.last.began),
            "last_run_exit_code": ("Its exit code; 0: all was done.", runs.last.exit_code),
        }
        yield _by("action", "last_run_rows", "Rows of its report.", runs.last.actions)
    yield from _gauges("", gauges)


def _filling(figures: Figures) -> Iterator[Metric]:
    states = {
        "filled": figures.filled, "waiting": figures.waiting, "without_episodes": figures.without,
        "failing": figures.failed,
    }  # fmt: skip
    yield _by("state", "hydrate_series", "Series, by whether they have episodes.", states)
    yield _by("why", "hydrate_failing", "Series asked for in vain, by why.", figures.failing)
    gauges = {
        "last_hour": ("Series asked for within the last hour.", figures.last_hour),
        "rate": ("Series a minute that may be asked for.", figures.rate),
        "paused_accounts": ("Accounts that are left alone for a while.", len(figures.paused)),
        "stopped": ("Whether Dispatcharr refuses, so that nothing is asked for.", bool(figures.stopped)),
        "done_time_seconds": ("When about nothing will be waiting; 0: unknown, or so already.", figures.done),
    }
    yield from _gauges("hydrate_", gauges)


def _images(figures: ArtworkFigures) -> Iterator[Metric]:
    states = {"stored": figures.stored, "waiting": figures.waiting, "failing": figures.failed}
    yield _by("state", "artwork_images", "Images that the library wants.", states)
    yield _by("why", "artwork_failing", "Images that could not be had, by why.", figures.failing)
    gauges = {
        "bytes": ("Bytes of the images that are stored.", figures.bytes),
        "limit_bytes": ("Bytes that may be stored.", figures.limit),
        "last_hour": ("Images asked for within the last hour.", figures.last_hour),
        "rate": ("Images a minute that may be asked for.", figures.rate),
        "paused_hosts": ("Hosts that are left alone for a while.", len(figures.paused)),
        "stopped": ("Whether nothing is fetched for want of room.", bool(figures.stopped)),
        "done_time_seconds": ("When about nothing will be waiting; 0: unknown, or so already.", figures.done),
    }
    yield from _gauges("artwork_", gauges)


def _learning(figures: LearningFigures) -> Iterator[Metric]:
    states = {"learnt": figures.learnt, "waiting": figures.waiting, "failing": figures.failed}
    yield _by("state", "films_wanted", "Films that the library plays.", states)
    yield _by("why", "films_failing", "Films that could not be learnt, by why.", figures.failing)
    gauges = {
        "changed": ("Films that are shown and are to be learnt anew.", figures.changed),
        "kept_bytes": ("Bytes of films on disk.", figures.kept),
        "limit_bytes": ("Bytes of films that may be on disk.", figures.limit),
        "taken_bytes": ("Bytes that learning took within 24 hours.", figures.taken),
        "budget_bytes": ("Bytes that it may take within 24 hours.", figures.budget),
        "last_hour": ("Films tried within the last hour.", figures.last_hour),
        "rate": ("Films a minute that may be tried.", figures.rate),
        "paused_accounts": ("Accounts that are left alone for a while.", len(figures.paused)),
        "stopped": ("Whether nothing is learnt.", bool(figures.stopped)),
        "done_time_seconds": (
            "When about nothing will be waiting; 0: unknown, or so already, or nobody learns.",
            figures.done,
        ),
    }
    yield from _gauges("films_", gauges)


def _films(mount: MountState) -> Iterator[Metric]:
    gauges = {
        "start_time_seconds": ("When the mount of films started.", mount.started),
        "generation": ("The number of its generation; 0: none.", mount.generation),
    }
    yield from _gauges("films_", gauges)
    counters = {
        "requests": ("Requests of the kernel to the mount of films.", mount.requests),
        "failed_requests": ("Those that were answered with an error.", mount.failed),
    }
    if mount.films is not None:
        counters["received_bytes"] = ("Bytes of films that came from providers.", mount.films.received)
    for name, (text, value) in counters.items():
        yield CounterMetricFamily(f"vod2strmfs_films_{name}", text, value=value)
    yield from _servers("films_", mount)
    if mount.films is None:
        return
    yield from _gauges("films_", {"playing": ("Films that are read from providers.", len(mount.films.playing))})
    used = GaugeMetricFamily("vod2strmfs_films_streams", "Streams in use.", labels=["account", "use"])
    refused = CounterMetricFamily("vod2strmfs_films_refused", "Films refused for want of a stream.", labels=["account"])
    for each in mount.films.accounts:
        used.add_metric([str(each.account), "viewers"], each.viewers)
        used.add_metric([str(each.account), "learning"], each.learners)
        refused.add_metric([str(each.account)], each.refused)
    background = {str(each.account): each.background for each in mount.films.accounts}
    text = "Bytes within 24 hours for readers whom nobody watches."
    yield from (used, refused, _by("account", "films_background_bytes", text, background))


def _servers(prefix: str, state: MountState) -> Iterator[Metric]:
    """The media servers that a mount tells what changed."""
    name, labels = f"vod2strmfs_{prefix}", ["server"]
    told = CounterMetricFamily(f"{name}told_folders", "Folders that a media server was told of.", labels=labels)
    waiting = GaugeMetricFamily(f"{name}waiting_folders", "Folders that it is to be told of.", labels=labels)
    failing = GaugeMetricFamily(
        f"{name}server_failing_since_seconds", "Since when it cannot be told; 0 while it can.", labels=labels
    )
    for server in state.servers:
        told.add_metric([server.name], server.told)
        waiting.add_metric([server.name], server.waiting)
        failing.add_metric([server.name], server.failing_since)
    yield from (told, waiting, failing)


def _metrics(state: MountState) -> Iterator[Metric]:
    about = {"version": state.version, "mountpoint": state.mountpoint}
    yield InfoMetricFamily("vod2strmfs_mount", "Which mount this is.", value=about)
    gauges = {
        "start_time_seconds": ("When the mount started.", state.started),
        "generation": ("The number of the generation shown; 0: none.", state.generation),
        "generation_time_seconds": ("When that was made.", state.made),
        "sync_time_seconds": ("When the catalogue was last compared.", state.synced),
        "stale_since_seconds": ("Since when the database cannot be read; 0 while it can.", state.stale_since),
        "held_items": ("Items kept by the shrink brake.", state.held),
    }
    yield from _gauges("", gauges)
    counters = {
        "requests": ("Requests of the kernel.", state.requests),
        "failed_requests": ("Requests answered with an input/output error.", state.failed),
        "cache_lookups": ("Rows of the index that were asked for.", state.cache_asked),
        "cache_misses": ("Rows that had to be read from the index file.", state.cache_missed),
    }
    for name, (text, value) in counters.items():
        yield CounterMetricFamily(f"vod2strmfs_{name}", text, value=value)
    logged = CounterMetricFamily("vod2strmfs_logged_messages", "Warnings and errors logged.", labels=["level"])
    logged.add_metric(["error"], state.logged_errors)
    logged.add_metric(["warning"], state.logged_warnings)
    yield logged
    yield from _servers("", state)
    library = GaugeMetricFamily("vod2strmfs_library", "What .stats.csv counts.", labels=["scope", "metric"])
    for scope, metrics in state.metrics.items():
        for metric, counted in metrics.items():
            if counted.isdecimal():
                library.add_metric([scope, metric], int(counted))
    yield library
