"""Keeps the workers: starts them, starts them again when they die, replaces them one by one, ends them. It serves nothing itself."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, Protocol

from antiphon.config import configured_workers
from antiphon.embedded.engine import engine_of
from antiphon.telemetry.logs import logger
from antiphon.workers.embedded_model import ENSURE_RUNNING, PHASE, PING, answer_for
from antiphon.workers.heartbeat import hanging
from antiphon.workers.loaded import Loaded
from antiphon.workers.metrics_of_all import OTHERS
from antiphon.workers.posts import Generation, Post, metrics_beside
from antiphon.workers.reserved_ports import ReservedPorts
from antiphon.workers.spare import Spare
from antiphon.workers.worker_process import DRAIN, HURRY, IMPORTED, LOAD, SERVE, WorkerError, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from antiphon.config import LogSection, ServerSection
    from antiphon.embedded.engine import EmbeddedModelEngine
    from antiphon.ports.embedded_model import EnginePhase
    from antiphon.telemetry.logs import Logger

# Beyond the grace: for the calls that were cancelled at its end, and for a busy machine.
_ENDING_S = 5.0


class ConfigurationRefusedError(Exception):
    """The configuration cannot be used.

    Attributes:
        problems: One sentence each.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class Terminal(Protocol):
    """Where a person meets the supervisor: what they read, and what they are told at once."""

    def log_as(self, section: LogSection) -> None:
        """Has the log written as configured."""
        ...

    def check_ports(self, section: ServerSection) -> None:
        """Raises OSError where a port cannot be had."""
        ...

    def serving(self, loaded: Loaded, ports: ReservedPorts) -> None:
        """Is told once, when all workers serve."""
        ...


class Supervisor:
    """One server of several workers."""

    def __init__(self, file: Path | None, workers: int | None, terminal: Terminal) -> None:
        """Takes what to serve; nothing is started yet.

        Args:
            file: The configuration's file, as `config.load` takes it.
            workers: How many workers there are, whatever the configuration says; None: as many as it says.
            terminal: Where whoever started it meets it.
        """
        self._file = file
        self._workers = workers
        self._terminal = terminal
        self._stop, self._hurry, self._roll_wanted = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._processes: set[WorkerProcess] = set()
        self._generations: dict[WorkerProcess, Generation] = {}
        self._posts: list[Post] = []
        self._engines: list[EmbeddedModelEngine] = []
        self._spare = Spare(self._spawned)
        self._ports: ReservedPorts | None = None

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT; SIGHUP replaces the workers.

        Raises:
            ConfigurationRefusedError: The configuration cannot be used.
            OSError: A port cannot be had.
            WorkerError: A worker does not start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._heed)
        loop.add_signal_handler(signal.SIGHUP, self._roll_wanted.set)
        serving = asyncio.create_task(self._serve())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (serving, stopped):
                task.cancel()
            await asyncio.wait((serving, stopped))
            await self._end()
        if not serving.cancelled():
            serving.result()

    @property
    def _log(self) -> Logger:
        # Made anew each time: a roll can change how the log is written.
        return logger("antiphon.workers")

    def _heed(self) -> None:
        (self._hurry if self._stop.is_set() else self._stop).set()

    # --- starting ---------------------------------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        # As many as there will most likely be, so that all import at the same time.
        first, *others = await asyncio.gather(*(self._spawned() for _ in range(self._workers or configured_workers(self._file))))
        loaded = await self._loaded(first)
        self._terminal.log_as(loaded.log)
        self._terminal.check_ports(loaded.server)
        self._ports = ReservedPorts.of(loaded.server.host, loaded.server.grpc_port, loaded.server.http_port)
        generation = self._generation_of(loaded, None)
        self._posts = [Post(number, generation) for number in range(self._count(loaded))]
        await asyncio.gather(*(self._fill(post, generation, process) for post, process in zip(self._posts, (first, *others), strict=True)))
        self._terminal.serving(loaded, self._ports)
        async with asyncio.TaskGroup() as tasks:
            for post in self._posts:
                tasks.create_task(self._keep(post))
            tasks.create_task(self._spare.keep())
            tasks.create_task(self._keep_rolling(tasks))

    def _count(self, loaded: Loaded) -> int:
        return self._workers or loaded.server.workers

    async def _spawned(self) -> WorkerProcess:
        process = await WorkerProcess.spawn(self._heard)
        self._processes.add(process)
        process.ended.add_done_callback(lambda _: self._forget(process))
        return process

    def _forget(self, process: WorkerProcess) -> None:
        self._processes.discard(process)
        self._generations.pop(process, None)

    async def _loaded(self, process: WorkerProcess) -> Loaded:
        """Has a worker load and check the configuration: it knows the kinds of provider, and what it has imported is what would serve.

        Raises:
            ConfigurationRefusedError: It cannot be used; the worker is ended.
            WorkerError: The worker does not answer; it is ended.
        """
        answer = await self._asked(process, LOAD, {"file": None if self._file is None else str(self._file)})
        if "problems" in answer:
            await process.end()
            raise ConfigurationRefusedError(answer["problems"])
        return Loaded.from_json(answer["loaded"])

    def _generation_of(self, loaded: Loaded, before: Generation | None) -> Generation:
        if before is not None and before.loaded.embedded_model == loaded.embedded_model:
            return Generation(loaded, before.engine)
        engine = engine_of(loaded.embedded_model, lambda phase: self._phase_changed(engine, phase))
        self._engines.append(engine)
        return Generation(loaded, engine)

    async def _fill(self, post: Post, generation: Generation, process: WorkerProcess | None = None) -> None:
        """Has a process serve at a post; the one that was there goes on until it is told otherwise.

        Raises:
            WorkerError: It does not serve; it is ended.
        """
        assert self._ports is not None, "the ports come first"
        process = process or self._spare.take() or await self._spawned()
        self._generations[process] = generation
        told = {
            "worker": post.number,
            "text": generation.loaded.text,
            "host": self._ports.host,
            "grpc_port": self._ports.grpc_port,
            "http_port": self._ports.http_port,
            "phase": generation.engine.phase.value,
        }
        answer = await self._asked(process, SERVE, told)
        if refused := answer.get("refused"):
            await process.end()
            raise WorkerError(refused)
        process.serving_begins()
        post.process, post.generation = process, generation
        self._log.info("worker serves", worker=post.number, pid=process.pid)

    async def _asked(self, process: WorkerProcess, name: str, value: dict[str, Any]) -> dict[str, Any]:
        """Asks a worker, and ends it where it does not answer."""
        try:
            return await process.ask(name, value)
        except BaseException:
            await process.end()
            raise

    # --- keeping ----------------------------------------------------------------------------------------------------------------------------

    async def _keep(self, post: Post) -> None:
        while not post.given_up:
            process = post.process
            if process is not None:
                await self._ended(post, process)
            async with post.filling:
                if post.process is process and not post.given_up:
                    await self._refill(post)

    async def _ended(self, post: Post, process: WorkerProcess) -> None:
        """Waits until a worker has ended, and ends it when it hangs."""
        watching = asyncio.create_task(hanging(process), name="worker-heartbeat")
        try:
            await asyncio.wait((process.ended, watching), return_when=asyncio.FIRST_COMPLETED)
            if watching.done() and watching.result() and process.is_running:
                self._log.error("worker hangs and is killed", worker=post.number, pid=process.pid)
                await process.end()
            await asyncio.wait((process.ended,))
        finally:
            watching.cancel()

    async def _refill(self, post: Post) -> None:
        process, post.process = post.process, None
        wait_s = post.back_off.wait_after_death_s(0.0 if process is None else process.served_s)
        if process is not None:
            self._log.warning(
                "worker ended by itself", worker=post.number, pid=process.pid, exit_code=process.exit_code, starts_again_in_s=wait_s
            )
        await asyncio.sleep(wait_s)
        post.restarts += 1
        try:
            await self._fill(post, post.generation)
        except (WorkerError, OSError) as error:
            self._log.error("worker does not start", worker=post.number, why=str(error))

    # --- replacing --------------------------------------------------------------------------------------------------------------------------

    async def _keep_rolling(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await self._roll_wanted.wait()
            # What comes from now on asks for one roll more, however often it comes.
            self._roll_wanted.clear()
            try:
                await self._roll(tasks)
            except ConfigurationRefusedError as error:
                for problem in error.problems:
                    self._log.error("configuration refused; the workers go on as they are", problem=problem)
            except (WorkerError, OSError) as error:
                self._log.error("workers not replaced: a new one does not start", why=str(error))

    async def _roll(self, tasks: asyncio.TaskGroup) -> None:
        self._log.info("replacing the workers")
        # Not the spare, which has imported what was installed when it started.
        fresh: WorkerProcess | None = await self._spawned()
        loaded = await self._loaded(fresh)
        self._terminal.log_as(loaded.log)
        generation = self._generation_of(loaded, self._posts[0].generation)
        self._tell_what_stays(loaded.server, self._posts[0].generation.loaded.server)
        count = self._count(loaded)
        for post in self._posts[:count]:
            async with post.filling:
                old = post.process
                await self._fill(post, generation, fresh or await self._spawned())
                fresh = None
            if old is not None:
                await self._retire(old, generation.loaded.server.drain_grace_s)
        for number in range(len(self._posts), count):
            post = Post(number, generation)
            await self._fill(post, generation, await self._spawned())
            self._posts.append(post)
            tasks.create_task(self._keep(post))
        await self._give_up(self._posts[count:])
        for engine in [one for one in self._engines if one is not generation.engine]:
            self._engines.remove(engine)
            await engine.close()
        await self._spare.renew()
        self._log.info("workers replaced", workers=count)

    async def _retire(self, process: WorkerProcess, grace_s: float) -> None:
        process.tell(DRAIN)
        await process.end(grace_s + _ENDING_S)

    async def _give_up(self, posts: list[Post]) -> None:
        for post in posts:
            post.given_up = True
            async with post.filling:
                process, post.process = post.process, None
            self._posts.remove(post)
            if process is not None:
                await self._retire(process, post.generation.loaded.server.drain_grace_s)

    def _tell_what_stays(self, new: ServerSection, old: ServerSection) -> None:
        changed = [key for key in ("host", "grpc_port", "http_port") if getattr(new, key) != getattr(old, key)]
        if changed:
            self._log.warning("the ports stay where they are until the server is started anew", changed=changed)

    # --- ending -----------------------------------------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        """Has all workers drain at once, and then ends what they shared."""
        processes = list(self._processes)
        grace_s = max((one.loaded.server.drain_grace_s for one in self._generations.values()), default=0.0)
        if self._ports is not None:
            self._log.info("draining; a second signal ends the calls in progress", grace_s=grace_s)
        hurrying = asyncio.create_task(self._hurry_all())
        serving = [process for process in processes if process.serves]
        for process in serving:
            process.tell(DRAIN)
        await asyncio.gather(*(process.end(grace_s + _ENDING_S if process in serving else 0.0) for process in processes))
        hurrying.cancel()
        for engine in self._engines:
            await engine.close()
        if self._ports is not None:
            self._ports.close()
            self._log.info("stopped")

    async def _hurry_all(self) -> None:
        await self._hurry.wait()
        for process in self._processes:
            process.tell(HURRY)

    # --- what workers ask -------------------------------------------------------------------------------------------------------------------

    async def _heard(self, process: WorkerProcess, name: str, value: Any) -> Any:
        del value
        if name == IMPORTED:
            process.imported.set()
            return None
        if name in {ENSURE_RUNNING, PING}:
            return await answer_for(self._generations[process].engine, name)
        if name == OTHERS:
            return await metrics_beside(self._posts, process)
        raise WorkerError(f"nobody here knows {name!r}")

    def _phase_changed(self, engine: EmbeddedModelEngine, phase: EnginePhase) -> None:
        for process, generation in self._generations.items():
            if generation.engine is engine:
                process.tell(PHASE, phase.value)
