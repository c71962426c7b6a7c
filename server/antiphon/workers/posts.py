"""The places that workers fill: what is served at each, who fills it, and what its metrics are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from antiphon.workers.back_off import BackOff
from antiphon.workers.metrics_of_all import OWN
from antiphon.workers.worker_process import WorkerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.embedded.engine import EmbeddedModelEngine
    from antiphon.workers.loaded import Loaded
    from antiphon.workers.worker_process import WorkerProcess

# A scrape waits no longer for a worker that hangs.
_SCRAPE_S = 1.0


@dataclass(frozen=True, slots=True)
class Generation:
    """A configuration in force, and the engine that its workers share."""

    loaded: Loaded
    engine: EmbeddedModelEngine


@dataclass(eq=False, slots=True)
class Post:
    """One worker's place. Its number outlives the processes that fill it.

    Attributes:
        number: The worker's number, from 0 on.
        generation: What its process serves, and the next one would.
        process: The process that fills it; None while there is none.
        given_up: Whether nothing fills it any more.
        filling: Held by whoever puts a process there.
        back_off: How long to wait before a process that died is followed by another.
        restarts: How often a process was started because one had died.
        scrape_failures: How often its metrics were not to be had.
    """

    number: int
    generation: Generation
    process: WorkerProcess | None = None
    given_up: bool = False
    filling: asyncio.Lock = field(default_factory=asyncio.Lock)
    back_off: BackOff = field(default_factory=BackOff)
    restarts: int = 0
    scrape_failures: int = 0


async def metrics_beside(posts: Sequence[Post], asking: WorkerProcess) -> dict[str, Any]:
    """Answers a worker that asks for the metrics of the others, for its `MetricsOfAll`."""
    asked = [(post, post.process) for post in posts if post.process is not None and post.process is not asking]
    texts = await asyncio.gather(*(_metrics_of(post, process) for post, process in asked))
    workers = [
        {
            "worker": post.number,
            "up": post.process is not None and post.process.serves,
            "restarts": post.restarts,
            "scrape_failures": post.scrape_failures,
        }
        for post in posts
    ]
    return {"texts": {post.number: text for (post, _), text in zip(asked, texts, strict=True) if text is not None}, "workers": workers}


async def _metrics_of(post: Post, process: WorkerProcess) -> str | None:
    try:
        return await process.ask(OWN, timeout_s=_SCRAPE_S)
    except WorkerError:
        post.scrape_failures += 1
        return None
