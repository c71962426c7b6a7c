"""There is always a worker that waits, except while another is made ready after it was taken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from antiphon.workers.spare import Spare

if TYPE_CHECKING:
    from collections.abc import Callable

    from antiphon.workers.worker_process import WorkerProcess


class FakeProcess:
    """What `Spare` uses of a process; it ends by `end` or `die`."""

    def __init__(self, *, imports: bool = True) -> None:
        self._dead = asyncio.Event()
        self.ended = asyncio.create_task(self._dead.wait())
        self.imported = asyncio.Event()
        if imports:
            self.imported.set()

    @property
    def is_running(self) -> bool:
        return not self._dead.is_set()

    def die(self) -> None:
        self._dead.set()

    async def end(self) -> None:
        self.die()
        await self.ended


class Maker:
    """Makes processes."""

    def __init__(self) -> None:
        self.made: list[FakeProcess] = []
        self.imports = True

    async def __call__(self) -> WorkerProcess:
        await asyncio.sleep(0)
        self.made.append(FakeProcess(imports=self.imports))
        return cast("Any", self.made[-1])

    async def reached(self, number: int, fits: Callable[[FakeProcess], bool] = lambda _: True) -> None:
        async with asyncio.timeout(5):
            while len(self.made) < number or not fits(self.made[number - 1]):
                await asyncio.sleep(0)


async def ended(keeping: asyncio.Task[None], maker: Maker) -> None:
    keeping.cancel()
    await asyncio.wait((keeping,))
    for process in maker.made:
        await process.end()


async def test_what_is_taken_is_made_again() -> None:
    maker = Maker()
    spare = Spare(maker)
    assert None is spare.take()
    keeping = asyncio.create_task(spare.keep())
    await maker.reached(1)
    await asyncio.sleep(0)
    assert maker.made[0] is cast("Any", spare.take())
    await maker.reached(2)
    assert maker.made[0].is_running
    await ended(keeping, maker)


async def test_one_that_dies_is_made_again_and_never_given_away() -> None:
    maker = Maker()
    spare = Spare(maker)
    keeping = asyncio.create_task(spare.keep())
    await maker.reached(1)
    await asyncio.sleep(0)
    maker.made[0].die()
    assert None is spare.take()
    await maker.reached(2)
    await ended(keeping, maker)


async def test_the_old_one_waits_until_the_new_one_is_ready() -> None:
    maker = Maker()
    spare = Spare(maker)
    keeping = asyncio.create_task(spare.keep())
    await maker.reached(1)
    maker.imports = False
    renewing = asyncio.create_task(spare.renew())
    await maker.reached(2)
    await asyncio.sleep(0.01)
    assert (True, False) == (maker.made[0].is_running, renewing.done())
    maker.made[1].imported.set()
    await renewing
    assert not maker.made[0].is_running
    assert maker.made[1] is cast("Any", spare.take())
    await ended(keeping, maker)
