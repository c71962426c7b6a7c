"""One exposition for all workers: the same families, each sample labelled with its worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from antiphon.ports.metrics_text import MetricsText
    from antiphon.workers.channel import Channel

OTHERS = "metrics.others"
OWN = "metrics.own"


class MetricsOfAll:
    """What a worker's second port shows: its own metrics, and through the supervisor those of the others."""

    def __init__(self, worker: int, own: MetricsText, channel: Channel) -> None:
        self._worker = worker
        self._own = own
        self._channel = channel

    async def __call__(self) -> str:
        """Returns the exposition. A worker that does not answer in time is left out, which its own counter says."""
        others = await self._channel.ask(OTHERS)
        texts: dict[int, str] = {int(worker): text for worker, text in others["texts"].items()}
        texts[self._worker] = await self._own()
        return merged(dict(sorted(texts.items()))) + "\n".join(_about_workers(others["workers"])) + "\n"


def merged(texts: Mapping[int, str]) -> str:
    """Merges expositions in Prometheus's text format family by family.

    Args:
        texts: Each worker's exposition, as this project's metrics write it.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for worker, text in texts.items():
        family = ""
        for line in text.splitlines():
            if line.startswith("# "):
                family = line.split(" ", 3)[2]
                head = heads.setdefault(family, [])
                if line not in head:
                    head.append(line)
            elif line:
                samples.setdefault(family, []).append(_labelled(line, worker))
    lines = [line for family, head in heads.items() for line in (*head, *samples.get(family, ()))]
    return "\n".join(lines) + "\n"


def _labelled(sample: str, worker: int) -> str:
    """Adds the label `worker`, before the others: a value of theirs can hold any character."""
    name_end = next(index for index, letter in enumerate(sample) if letter in "{ ")
    name, rest = sample[:name_end], sample[name_end:]
    if rest.startswith("{"):
        return f'{name}{{worker="{worker}",{rest[1:]}'
    return f'{name}{{worker="{worker}"}}{rest}'


def _about_workers(workers: Iterable[Mapping[str, Any]]) -> list[str]:
    families = (
        ("antiphon_workers", "", "gauge", "Whether a worker serves.", "up"),
        ("antiphon_worker_restarts", "_total", "counter", "Starts of a worker after it died.", "restarts"),
        ("antiphon_worker_scrape_failures", "_total", "counter", "Scrapes that a worker did not answer in time.", "scrape_failures"),
    )
    workers = list(workers)
    lines: list[str] = []
    for family, suffix, kind, told, key in families:
        lines += [f"# HELP {family}{suffix} {told}", f"# TYPE {family}{suffix} {kind}"]
        lines += [f'{family}{suffix}{{worker="{one["worker"]}"}} {float(one[key])}' for one in workers]
    return lines
