"""The SBOM has every package of the lock with its hashes and its licence."""

from __future__ import annotations

from email import message_from_string

import pytest

from paperlora.environment.core import lock as locks
from paperlora.environment.locks import sbom


def test_every_pin_with_its_hashes() -> None:
    lock = locks.load("cuda")
    document = sbom.document(lock, "3.12", {"torch": "BSD-3-Clause"})
    packages = lock.packages("3.12")
    assert sorted(one["name"] for one in document["components"]) == sorted(packages)
    (torch,) = (one for one in document["components"] if one["name"] == "torch")
    hashes = {one["hashes"][0]["content"] for one in torch["externalReferences"]}
    assert hashes == {wheel.sha256 for wheel in packages["torch"][1].wheels}
    assert torch["licenses"] == [{"license": {"name": "BSD-3-Clause"}}]
    assert [one["name"] for one in document["components"] if "licenses" in one] == ["torch"]


def test_the_same_lock_gives_the_same_document() -> None:
    lock = locks.load("cuda")
    assert sbom.document(lock, "3.12", {}) == sbom.document(lock, "3.12", {})
    other = sbom.document(lock, "3.11", {})
    assert other["serialNumber"] != sbom.document(lock, "3.12", {})["serialNumber"]


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ("License-Expression: MIT\nLicense: other\n", "MIT"),
        ("License: Apache 2.0\n", "Apache 2.0"),
        ("License: a\n b\nClassifier: License :: OSI Approved :: BSD License\n", "BSD License"),
        ("Name: x\n", ""),
    ],
)
def test_licence(metadata: str, named: str) -> None:
    assert sbom.licence(message_from_string(metadata)) == named
