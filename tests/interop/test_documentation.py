"""What the documentation says to type works, and its tables name what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools import settings

if TYPE_CHECKING:
    from tests.support.real_server import RealServer

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/GETTING_STARTED.md", "docs/SECOND_PORT.md")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        found += [(page, match[2]) for match in _BLOCK.finditer(text) if match[1] == language]
    return found


def run(command: list[str], server: RealServer) -> str:
    environment = server.environment()
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=55, check=False
    )  # the documentation's own commands
    assert 0 == done.returncode, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_python_examples_run_and_print(page: str, code: str, embedded_server: RealServer) -> None:
    del page
    assert run([sys.executable, "-c", code], embedded_server).strip()


def shell_examples() -> list[str]:
    return [code for _, code in blocks("sh") if code.startswith(("buf curl", "curl", "echo"))]


@pytest.mark.parametrize("code", shell_examples())
def test_shell_examples_run_and_print(code: str, embedded_server: RealServer) -> None:
    here = code.replace("127.0.0.1:50051", embedded_server.target).replace("http://127.0.0.1:8080", embedded_server.http_url)
    assert run(["bash", "-ec", here], embedded_server).strip()


def test_the_page_of_settings_is_what_the_settings_give() -> None:
    assert (ROOT / "docs/SETTINGS.md").read_text(encoding="utf-8") == settings.page()


def test_the_page_names_the_settings_of_lists_and_providers() -> None:
    page = settings.page()
    assert [] == [
        name for name in ("`server.host`", "`auth.keys[].hash`", "`limits.slow_reader_s`", "providers.<name>") if name not in page
    ]


def test_every_error_reason_is_told_with_its_code_in_the_contract() -> None:
    text = (ROOT / "proto/antiphon/api/core/v1/error.proto").read_text(encoding="utf-8")
    comments = re.findall(r"// (\w+)[:,][^\n]*\n(?:  //[^\n]*\n)*  ERROR_REASON_(\w+) = (\d+);", text)
    reasons = re.findall(r"ERROR_REASON_(\w+) = \d+;", text)
    assert set(reasons) - {"UNSPECIFIED"} == {name for _, name, _ in comments}


def test_links_within_the_documentation_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), ROOT / "clients/python/README.md"]
    broken: list[str] = []
    for page in pages:
        links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
        broken += [f"{page.relative_to(ROOT)}: {link}" for link in links if not (page.parent / link).exists()]
    assert [] == broken
