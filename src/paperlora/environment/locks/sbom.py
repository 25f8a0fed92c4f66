"""Print a lock as a CycloneDX 1.6 document (SBOM), with file hashes and licences.

Names, versions and hashes come from the lock, licences from the metadata of the installed packages.
The document is the same on every run.
"""

from __future__ import annotations

import json
import uuid
from email.parser import HeaderParser
from typing import TYPE_CHECKING, Any

from paperlora import __version__
from paperlora.environment.core import installed, verify
from paperlora.environment.core import lock as locks
from paperlora.files import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message
    from pathlib import Path

    from paperlora.environment.core.lock import Lock, Package

_FREE_TEXT = 80


def licence(about: Message) -> str:
    """Return the SPDX expression (PEP 639), else the older field, else the classifiers, else ``""``."""
    older = about.get("License", "").strip()
    classes = [
        one.rpartition(" :: ")[2]
        for one in about.get_all("Classifier", [])
        if one.startswith("License ::")
    ]
    short = older if older and "\n" not in older and len(older) <= _FREE_TEXT else ""
    return str(about.get("License-Expression") or short or ", ".join(classes))


def document(lock: Lock, python: str, licences: Mapping[str, str]) -> dict[str, Any]:
    """Return the document for what ``lock`` installs into Python ``3.x``; ``licences``: package → licence."""
    rows = [
        _component(stage, one, licences.get(one.name, ""))
        for stage, one in lock.packages(python).values()
    ]
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"paperlora:{lock.digest}:{python}")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": lock.cutoff,
            "component": {"type": "application", "name": "paperlora", "version": __version__},
            "properties": [
                {"name": "paperlora:target", "value": lock.target},
                {"name": "paperlora:lock", "value": lock.digest},
                {"name": "paperlora:python", "value": python},
            ],
        },
        "components": sorted(rows, key=lambda row: str(row["purl"])),
    }


def _component(stage: str, package: Package, named: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{package.name}@{package.version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        **({"licenses": [{"license": {"name": named}}]} if named else {}),
        "externalReferences": [
            {
                "type": "distribution",
                "url": f"{purl}?file_name={wheel.file}",
                "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
            }
            for wheel in package.wheels
        ],
        "properties": [{"name": "paperlora:stage", "value": stage}],
    }


def run(target: str, *, root: Path = ROOT) -> None:
    """Print the document for ``target``, with the licences of the packages installed here."""
    parser = HeaderParser()
    licences = {}
    for one in installed.distributions():
        text = (one.folder / "METADATA").read_text(encoding="utf-8", errors="replace")
        licences[one.name] = licence(parser.parsestr(text, headersonly=True))
    lock = locks.load(target, root=root)
    print(json.dumps(document(lock, verify.python(), licences), indent=1, ensure_ascii=False))
