from __future__ import annotations

import os
from pathlib import Path

import pytest

from paperlora.environment.core import runtime
from paperlora.errors import InputError

FREEZE = """# from pip
-e git+https://example.org/x#egg=x
Alpha_One==1.0
torch==2.10.0+cu128
model @ https://example.org/model-3.8.0-py3-none-any.whl#sha256=00
own @ file:///dist/own_thing-1.2.tar.gz
gateway @ git+https://example.org/gateway@b134e99
"""


def test_a_freeze_is_read_with_direct_references() -> None:
    assert runtime.parse_freeze(FREEZE) == {
        "alpha-one": "1.0",
        "gateway": "",
        "model": "3.8.0",
        "own": "1.2",
        "torch": "2.10.0+cu128",
    }


@pytest.mark.parametrize("line", ["<html>", "alpha=1.0", "alpha>=1"])
def test_a_line_that_is_none_of_a_freeze_is_named(line: str) -> None:
    with pytest.raises(InputError, match="is not a line of a package freeze"):
        runtime.parse_freeze(f"a==1\n{line}\n")


def test_facts_are_read_back(tmp_path: Path) -> None:
    one = runtime.Runtime(
        name="r2", commit="c0ffee", python="3.12.1", packages=runtime.parse_freeze(FREEZE)
    )
    (tmp_path / "env/colab").mkdir(parents=True)
    (tmp_path / "env/colab/r2.toml").write_text(runtime.facts(one))
    assert runtime.load("r2", root=tmp_path) == one
    assert runtime.names(root=tmp_path) == ["r2"]
    assert "Generated" in runtime.facts(one).split("\n")[0]


@pytest.mark.parametrize("content", ["[", 'commit = "x"', 'commit = "x"\npython = "3"'])
def test_damaged_facts_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "env/colab").mkdir(parents=True)
    (tmp_path / "env/colab/r2.toml").write_text(content)
    with pytest.raises(InputError, match=r"r2\.toml is damaged"):
        runtime.load("r2", root=tmp_path)


@pytest.mark.published
@pytest.mark.parametrize("name", runtime.names())
def test_the_facts_that_ship_are_those_of_the_freeze(name: str) -> None:
    text = (Path(os.environ["PAPERLORA_COLAB_FREEZES"]) / f"{name}.pip-freeze.gpu.txt").read_text(
        encoding="utf-8"
    )
    assert runtime.load(name).packages == runtime.parse_freeze(text)
