"""Writes `deploy/sbom.cdx.json`, the bill of what a deployment runs, or (`--check`) proves it current and valid. Two runs give the same bytes."""

from __future__ import annotations

import json
import sys
import tomllib
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import quote
from uuid import UUID

import jsonschema_rs
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.kept import keep, tell
from tools.locked import ROOT, SHIPPED, Locked, read_locks
from tools.package_facts import Facts, facts_of_all, load_record

BILL = ROOT / "deploy" / "sbom.cdx.json"
PROJECTS = ("pyproject.toml", "clients/python/pyproject.toml")
# Installed beside the server without being declared by it: the model's weights are found by their package's name.
_EMBEDDED_LOCK = SHIPPED[1]
_SCHEMAS = "http://cyclonedx.org/schema"

Object = dict[str, Any]  # JSON, as CycloneDX 1.6 lays it out


def bill() -> Object:
    """Returns the bill of the server, the SDK and everything that their locks bring along."""
    locks = read_locks(*SHIPPED)
    known = facts_of_all(locks, load_record())
    server, sdk = (tomllib.loads((ROOT / file).read_text(encoding="utf-8"))["project"] for file in PROJECTS)
    refs: dict[str, list[str]] = {project["name"]: [_purl(project["name"], project["version"])] for project in (server, sdk)}
    for locked in locks:
        refs.setdefault(locked.name, []).append(_purl(locked.name, locked.version))
    needs = {refs[project["name"]][0]: _declared(project) for project in (server, sdk)}
    needs |= {_purl(locked.name, locked.version): list(known[locked.pin].requires) for locked in locks}
    components = [_own_component(sdk), *(_component(locked, known[locked.pin]) for locked in locks)]
    document: Object = {
        "$schema": f"{_SCHEMAS}/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _own_component(server)},
        "components": sorted(components, key=lambda component: component["purl"]),
        # Only what is shipped: the weights' packages declare libraries that a deployment leaves out.
        "dependencies": [
            {"ref": ref, "dependsOn": sorted(target for name in names for target in refs.get(name, []))}
            for ref, names in sorted(needs.items())
        ],
    }
    # Derived from the content, so that the same locks give the same bytes; a time of writing is left out for the same reason.
    digest = sha256(json.dumps(document, sort_keys=True).encode()).digest()
    return document | {"serialNumber": UUID(bytes=digest[:16], version=4).urn}


def _component(locked: Locked, facts: Facts) -> Object:
    component = _identity(locked.name, locked.version, facts.licence)
    # One for each file that the lock lets in: the source distribution, and the wheels of all platforms.
    component["hashes"] = [{"alg": "SHA-256", "content": content} for content in locked.hashes]
    if locked.marker:
        component["properties"] = [{"name": "antiphon:only-where", "value": locked.marker}]
    return component


def _own_component(project: Object) -> Object:
    kind = "application" if "scripts" in project else "library"
    return _identity(project["name"], project["version"], project["license"]) | {"type": kind, "description": project["description"]}


def _identity(name: str, version: str, licence: str) -> Object:
    purl = _purl(name, version)
    component: Object = {"type": "library", "name": name, "version": version, "bom-ref": purl, "purl": purl}
    if " " in licence:
        component["licenses"] = [{"expression": licence}]
    elif licence:
        component["licenses"] = [{"license": {"id": licence}}]
    return component


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{quote(version)}"


def _declared(project: Object) -> list[str]:
    extras: dict[str, list[str]] = project.get("optional-dependencies", {})
    lines: list[str] = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    names: list[str] = [canonicalize_name(Requirement(line).name) for line in lines]
    return names + [locked.name for locked in read_locks(_EMBEDDED_LOCK)] if extras else names


def schema_problems(document: Object) -> list[str]:
    """Holds a bill against CycloneDX's own schema."""
    folder = files("cyclonedx.schema") / "_res"
    bom, *others = [
        (f"{_SCHEMAS}/{name}.schema.json", json.loads((folder / f"{name}.schema.json").read_text(encoding="utf-8")))
        for name in ("bom-1.6.SNAPSHOT", "spdx.SNAPSHOT", "jsf-0.82.SNAPSHOT")
    ]
    validator = jsonschema_rs.validator_for(bom[1], registry=jsonschema_rs.Registry(others), validate_formats=True)
    return [f"{'/'.join(str(step) for step in error.instance_path)}: {error.message}" for error in validator.iter_errors(document)]


def main(arguments: list[str]) -> int:
    """Writes the bill, or compares it."""
    document = bill()
    problems = [f"not valid CycloneDX: {problem}" for problem in schema_problems(document)]
    fresh = json.dumps(document, indent=1) + "\n"
    problems += keep(BILL, fresh, arguments, "deploy/sbom.cdx.json is not what the locks give; run `make sbom`")
    return tell("sbom", problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
