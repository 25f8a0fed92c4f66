from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

from paperlora.environment.core import installed

if TYPE_CHECKING:
    from pathlib import Path


def test_names_are_normalised() -> None:
    assert installed.normalised("Typing_Extensions") == "typing-extensions"
    assert installed.normalised("ruamel.yaml--x") == "ruamel-yaml-x"


def test_agrees_with_the_standard_library_on_this_interpreter() -> None:
    expected = sorted(
        (installed.normalised(one.metadata["Name"]), one.version)
        for one in importlib.metadata.distributions(path=list(map(str, installed.site_folders())))
    )
    assert expected
    assert [(one.name, one.version) for one in installed.distributions()] == expected


def test_reads_metadata_and_not_the_folder_s_name(site: Path) -> None:
    path = site / "beta-2.0.dist-info/METADATA"
    path.write_text("Metadata-Version: 2.1\nName: Beta_Two\nVersion: 2.1\n\nName: text\n")
    found = [(one.name, one.version) for one in installed.distributions([site])]
    assert found == [("alpha", "1.0"), ("beta-two", "2.1"), ("gamma", "3.0")]


def test_a_folder_without_metadata_has_no_version(site: Path) -> None:
    (site / "beta-2.0.dist-info/METADATA").unlink()
    found = {one.name: one.version for one in installed.distributions([site])}
    assert found == {"alpha": "1.0", "beta": "", "gamma": "3.0"}


def test_missing_files_are_those_of_the_record(site: Path) -> None:
    alpha, beta, gamma = installed.distributions([site])
    assert [installed.missing_files(one) for one in (alpha, beta, gamma)] == [[], [], []]
    (site / "alpha/__init__.py").unlink()
    (beta.folder / "RECORD").unlink()
    assert installed.missing_files(alpha) == ["alpha/__init__.py"]
    assert installed.missing_files(beta) == ["RECORD"]
    assert installed.missing_files(gamma) == []
