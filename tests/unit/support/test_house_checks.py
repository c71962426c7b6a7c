"""The checks that every test has do find what they look for: a check that cannot fail is worse than none."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster as blockbuster_module

import antiphon
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.config import load
from tests.support import leaks
from tests.support.faker import MessageFaker
from tests.support.leaks import Held, left_over, left_tasks

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "_SETTLING_S", 0.05)


def test_a_socket_left_open_is_found() -> None:
    before = Held.now()
    with socket.socket():
        assert ["1 x socket"] == left_over(before)
    assert [] == left_over(before)


def test_a_pipe_left_open_is_found() -> None:
    before = Held.now()
    ends = os.pipe()
    assert ["2 x pipe"] == left_over(before)
    for end in ends:
        os.close(end)
    assert [] == left_over(before)


def test_a_file_left_open_is_found(tmp_path: Path) -> None:
    before = Held.now()
    with (tmp_path / "left").open("w"):
        assert [f"1 x {tmp_path}/left"] == left_over(before)


def test_a_thread_left_running_is_found() -> None:
    before = Held.now()
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="left")
    thread.start()
    assert ["thread 'left'"] == left_over(before)
    release.set()
    thread.join()
    assert [] == left_over(before)


async def test_a_task_left_running_is_found() -> None:
    before = asyncio.all_tasks()
    task = asyncio.create_task(asyncio.sleep(60), name="left")
    [found] = await left_tasks(before)
    assert "left" in found
    task.cancel()
    assert [] == await left_tasks(before)


@pytest.mark.may_block("the check itself is tested")
async def test_a_blocking_call_of_ours_is_found(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("log: {level: info}", encoding="utf-8")
    with blockbuster_module.blockbuster_ctx([antiphon]), pytest.raises(blockbuster_module.BlockingError):
        load({}, file=file, environment={})


def test_the_same_seed_makes_the_same_messages() -> None:
    first, second = MessageFaker(7), MessageFaker(7)
    assert [first.spec() for _ in range(20)] == [second.spec() for _ in range(20)]


def test_another_seed_makes_others() -> None:
    assert 1 < len({MessageFaker(seed).spec().SerializeToString(deterministic=True) for seed in range(10)})


def test_a_mutation_changes_something(faker: MessageFaker) -> None:
    changed = 0
    for _ in range(50):
        spec = faker.spec()
        before = CompletionSpec()
        before.CopyFrom(spec)
        faker.mutated(spec)
        changed += before != spec
    assert changed > 35
