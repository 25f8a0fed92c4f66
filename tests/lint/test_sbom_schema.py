"""The SBOM is valid CycloneDX, by the strict validator of cyclonedx-python-lib.

Run by `env/nox -s lint`, which installs the validator apart from the locked environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from paperlora.environment.core import lock as locks
from paperlora.environment.locks import sbom
from paperlora.files import ROOT

pytestmark = pytest.mark.lint

TOOLS = Path(os.environ.get("PAPERLORA_LINT") or ROOT / ".envs/lint/bin")
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(str(fault) if fault else 0)
"""


def fault(document: dict[str, Any]) -> str:
    """Return what is wrong with a CycloneDX 1.6 document, ``""`` for nothing."""
    command = [str(TOOLS / "python"), "-c", VALIDATE]
    text = json.dumps(document)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize("target", ["cuda", "colab-2026.04", "colab-2026.07"])
def test_the_document_of_each_lock_is_valid(target: str) -> None:
    document = sbom.document(locks.load(target), "3.12", {"bitsandbytes": "MIT"})
    assert any("licenses" in one for one in document["components"])
    assert fault(document) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "x"}, "Additional properties"),
        ({"type": "package"}, "'package' is not one of"),
        ({"externalReferences": [{"type": "distribution"}]}, "'url' is a required property"),
    ],
)
def test_an_invalid_document_is_refused(change: dict[str, object], said: str) -> None:
    document = sbom.document(locks.load("cuda"), "3.12", {})
    document["components"][0].update(change)
    assert said in fault(document)
