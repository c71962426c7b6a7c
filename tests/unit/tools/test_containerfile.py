"""The Containerfile names only what is there, ends as a user other than root, and starts and stops in exec form. No engine has built it here."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from tools import containerfile, wheels
from tools.containerfile import CONTAINERFILE, IGNORE_FILE, ROOT, Instruction, sources, stages

TEXT = CONTAINERFILE.read_text(encoding="utf-8")
# `make wheels` makes it; it is never committed.
BUILT = f"{wheels.DIST.name}/*.whl"


def instructions() -> list[Instruction]:
    return [instruction for stage in stages(TEXT) for instruction in stage]


def last(name: str) -> Instruction:
    return [instruction for instruction in stages(TEXT)[-1] if instruction.name == name][-1]


def test_it_is_read_stage_by_stage() -> None:
    text = 'FROM a AS b\n# why\nRUN one \\\n    && two\nFROM c\nCOPY --from=b --chown=1:1 /x /y\nENTRYPOINT ["p", "q r"]\n'
    (_, run), (_, copy, entry) = stages(text)
    assert Instruction("RUN", {}, "one      && two") == run
    assert {"from": "b", "chown": "1:1"} == copy.flags
    assert ["/x", "/y"] == copy.words
    assert [] == sources(copy)
    assert ["p", "q r"] == entry.words


def test_every_base_image_is_pinned_to_a_full_version() -> None:
    images = [instruction.words[0] for instruction in instructions() if instruction.name == "FROM"]
    assert 2 == len(images)
    assert [] == [image for image in images if not re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", image)]


def test_every_copied_file_is_there_and_is_sent_to_the_engine() -> None:
    copied = {source for instruction in instructions() if instruction.name == "COPY" for source in sources(instruction)}
    assert BUILT in copied
    assert [] == sorted(source for source in copied - {BUILT} if not (ROOT / source).is_file())
    assert copied == containerfile.sent(IGNORE_FILE.read_text(encoding="utf-8"))


def test_every_file_that_a_step_uses_was_copied_before() -> None:
    there: set[str] = set()
    used = 0
    for instruction in stages(TEXT)[0]:
        if instruction.name == "COPY":
            there |= {f"{instruction.words[-1]}{PurePosixPath(source).name}" for source in sources(instruction)}
        elif instruction.name == "RUN":
            words = [word for word in instruction.rest.split() if word.startswith("/build/")]
            used += len(words)
            assert [] == [word for word in words if word not in there]
    assert 3 == used


def test_what_is_installed_is_held_against_hashes() -> None:
    installs = [instruction.rest for instruction in instructions() if " pip install " in instruction.rest]
    assert 3 == len(installs)
    # The last one is ours, from the wheels beside it and from nowhere else.
    assert all("--require-hashes" in command for command in installs[:-1])
    assert "--no-index" in installs[-1]


def test_it_ends_as_a_numbered_user_other_than_root() -> None:
    user, _, group = last("USER").rest.partition(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000
    assert f"useradd --system --uid {user} --gid {group} " in last("RUN").rest


def test_it_starts_the_server_itself_so_that_the_stop_signal_reaches_it() -> None:
    assert '["antiphon"]' == last("ENTRYPOINT").rest
    assert '["serve"]' == last("CMD").rest
    assert "SIGTERM" == last("STOPSIGNAL").rest


def test_it_names_the_servers_ports_and_asks_the_second_whether_it_is_ready() -> None:
    assert ["50051", "8080"] == last("EXPOSE").words
    check = last("HEALTHCHECK").rest
    assert check.startswith('CMD ["python", "-c", ')
    assert "http://127.0.0.1:8080/ready" in check


@pytest.mark.parametrize("text", ["", "!LICENSE\n", "# all\n!dist/*.whl\n*\n"])
def test_an_ignore_file_that_sends_everything_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="first pattern"):
        containerfile.sent(text)
