"""The design's rules that no import contract can hold: who reads the environment, opens files, starts processes, and how modules are kept."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import antiphon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(antiphon.__file__).parent
MOST_LINES = 700
VAGUE_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "misc"})
FILE_METHODS = frozenset(
    {"read_text", "read_bytes", "write_text", "write_bytes", "open", "iterdir", "glob", "rglob", "unlink", "mkdir", "touch", "rename"}
)
HTTP_CLIENTS = frozenset({"aiohttp", "httpx", "httpx2", "requests", "urllib3", "pyreqwest", "http.client", "urllib.request"})


@dataclass(frozen=True)
class Module:
    """One module's name, as in `rpc.server`, and its tree."""

    name: str
    tree: ast.Module

    def within(self, *places: str) -> bool:
        """Whether it is one of these modules or in one of these packages."""
        return any(self.name == place or self.name.startswith(f"{place}.") for place in places)


def modules() -> list[Module]:
    found: list[Module] = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] != "api":
            found.append(Module(".".join(parts).removesuffix(".__init__") or "__init__", ast.parse(path.read_text(encoding="utf-8"))))
    return found


def imported(tree: ast.Module) -> Iterator[str]:
    """Yields what a module imports, under `if TYPE_CHECKING` left out: a type is no use."""
    typing_only = {id(inner) for node in ast.walk(tree) if _is_type_checking(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _imports_any(tree: ast.Module, names: frozenset[str]) -> bool:
    return any(one == name or one.startswith(f"{name}.") for one in imported(tree) for name in names)


def environment_outside_config(module: Module) -> bool:
    """`os.environ` and its like outside the configuration."""
    if module.within("config"):
        return False
    wanted = {"os.environ", "os.getenv", "os.environb", "os.putenv"}
    used = {_dotted(node) for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
    return bool(wanted & (used | set(imported(module.tree))))


def files_outside_config(module: Module) -> bool:
    """Files opened outside the configuration, the command line and what runs beside the server. What the kernel tells of memory looks like files, too."""
    if module.within("config", "cli", "embedded", "calls.memory"):
        return False
    calls = [node.func for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    opened = any(isinstance(one, ast.Name) and one.id == "open" for one in calls)
    touched = any(isinstance(one, ast.Attribute) and one.attr in FILE_METHODS and _is_path(one.value) for one in calls)
    return opened or touched or bool({"os.open", "io.open", "os.fdopen"} & {_dotted(one) for one in calls})


def _is_path(node: ast.AST) -> bool:
    """Whether an expression looks like a path: made by `Path(...)`, or named after what it is."""
    if isinstance(node, ast.Call):
        return _dotted(node.func) in {"Path", "pathlib.Path"}
    return _dotted(node).rpartition(".")[2] in {"path", "file", "folder", "directory"}


def processes_outside_embedded(module: Module) -> bool:
    """Processes started outside what runs beside the server and what keeps its workers."""
    if module.within("embedded", "workers"):
        return False
    used = {_dotted(node) for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
    started = any(name.endswith((".create_subprocess_exec", ".create_subprocess_shell", ".subprocess_exec")) for name in used)
    started |= any(name.startswith(("os.fork", "os.posix_spawn", "os.system", "os.popen", "os.exec", "os.spawn")) for name in used)
    return started or _imports_any(module.tree, frozenset({"subprocess", "multiprocessing", "pty"}))


def grpc_outside_rpc(module: Module) -> bool:
    """The runtime outside the gRPC surface, the composition root, the command line, and what sends spans to a collector, which speaks gRPC."""
    return not module.within("rpc", "app", "cli", "telemetry.otlp") and _imports_any(
        module.tree, frozenset({"grpc", "grpc_health", "grpc_reflection", "grpc_status"})
    )


def http_clients_outside_egress(module: Module) -> bool:
    """HTTP clients outside egress. The embedded model's server is a program of its own, which may serve HTTP."""
    return not module.within("egress", "embedded.model_server") and _imports_any(module.tree, HTTP_CLIENTS)


def package_without_docstring(module: Module) -> bool:
    """A module that does not say what it is for."""
    return not ast.get_docstring(module.tree)


def long_module(module: Module) -> bool:
    """A module of more lines than a reader holds."""
    return max((node.end_lineno or 0 for node in module.tree.body), default=0) > MOST_LINES


def vague_name(module: Module) -> bool:
    """A module or package that is named after nothing, or defines something that is."""
    parts = set(module.name.split("."))
    parts |= {word for part in parts for word in part.split("_")}
    defined = [node.name for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
    return bool(VAGUE_NAMES & parts) or any(name.endswith(("Manager", "Helper", "Helpers", "Utils", "Util")) for name in defined)


RULES: dict[Callable[[Module], bool], tuple[str, str]] = {
    environment_outside_config: ("rpc.server", "import os\nTARGET = os.environ['TARGET']"),
    files_outside_config: ("models.catalog", "from pathlib import Path\nTEXT = Path('x').read_text()"),
    processes_outside_embedded: ("app", "import asyncio\nasync def f(): await asyncio.create_subprocess_exec('ls')"),
    grpc_outside_rpc: ("completion.service", "import grpc"),
    http_clients_outside_egress: ("providers.openai", "from aiohttp import ClientSession"),
    package_without_docstring: ("policies", "from __future__ import annotations"),
    long_module: ("rpc.server", "x = 1\n" * (MOST_LINES + 1)),
    vague_name: ("rpc.string_utils", "x = 1"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_server_keeps_the_rule(rule: Callable[[Module], bool]) -> None:
    assert [] == [module.name for module in modules() if rule(module)], rule.__doc__


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_can_fail(rule: Callable[[Module], bool]) -> None:
    name, source = RULES[rule]
    assert rule(Module(name, ast.parse(source)))


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (environment_outside_config, "rpc.server", "from os import environ"),
        (environment_outside_config, "wire.sse", "import os\nx = os.getenv('x')"),
        (files_outside_config, "http.site", "with open('x') as f: pass"),
        (files_outside_config, "http.site", "def f(path): return path.read_bytes()"),
        (processes_outside_embedded, "app", "import subprocess"),
        (processes_outside_embedded, "cli.serve", "import asyncio\nf = asyncio.create_subprocess_exec"),
        (processes_outside_embedded, "app", "from subprocess import run"),
        (processes_outside_embedded, "app", "import os\nos.system('ls')"),
        (grpc_outside_rpc, "errors", "from grpc import aio"),
        (http_clients_outside_egress, "embedded.engine", "import urllib.request"),
        (vague_name, "common", "'''What everybody needs.'''"),
        (vague_name, "rpc.server", "class ConnectionManager: pass"),
    ],
)
def test_the_rule_sees_other_spellings(rule: Callable[[Module], bool], name: str, source: str) -> None:
    assert rule(Module(name, ast.parse(source)))


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (environment_outside_config, "config", "import os\nx = os.environ"),
        (files_outside_config, "cli.serve", "open('x')"),
        (files_outside_config, "calls.memory", "def f(path): return path.read_text()"),
        (files_outside_config, "rpc.server", "def f(channel): channel.open()"),
        (processes_outside_embedded, "embedded.engine", "import subprocess"),
        (processes_outside_embedded, "workers.worker_process", "import asyncio\nf = asyncio.create_subprocess_exec"),
        (grpc_outside_rpc, "completion.service", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import grpc"),
        (http_clients_outside_egress, "egress.configured", "import aiohttp"),
    ],
)
def test_the_rule_lets_pass_what_it_must(rule: Callable[[Module], bool], name: str, source: str) -> None:
    assert not rule(Module(name, ast.parse(source)))


def test_there_are_modules_to_look_at() -> None:
    names = {module.name for module in modules()}
    assert {"app", "config", "rpc.server", "completion.service", "health"} <= names
