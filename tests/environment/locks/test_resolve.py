from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from checkout import PYTHON
from fake_uv import FAKE_UV

from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets
from paperlora.environment.core import verify
from paperlora.environment.locks import resolve
from paperlora.errors import DataError, InputError, NetworkError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _fake_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tools/uv"
    path.parent.mkdir()
    path.write_text(FAKE_UV)
    path.chmod(0o755)
    monkeypatch.setenv("PAPERLORA_TOOLS", str(path.parent))


def contents(root: Path) -> dict[str, str]:
    folder = root / "lockfiles"
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*.*")}


def test_without_a_tool_environment_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PAPERLORA_TOOLS")
    monkeypatch.setattr(resolve, "ROOT", tmp_path)
    with pytest.raises(InputError, match=r"could not be made → .*bootstrap\.py"):
        resolve.uv()


def test_each_package_is_in_the_first_stage_that_needs_it(inputs: Path) -> None:
    lock = resolve.resolve(targets.load("cuda", root=inputs))
    held = {part.file: [p.name for p in part.packages] for part in lock.slices}
    assert held == {"10-base.txt": ["alpha"], "20-model.txt": ["beta", "gamma", "uv"]}


def test_the_runtime_s_version_goes_before_the_newest_and_a_stage_s_before_both(
    inputs: Path,
) -> None:
    target = targets.load("cuda", root=inputs)
    assert resolve.constraints(target) == ["alpha==1.0"]
    versions = {n: p.version for n, (_, p) in resolve.resolve(target).packages(PYTHON).items()}
    # alpha: 1.2 is the newest, the runtime has 1.0+cu1; beta: the runtime has 1.5
    assert versions == {"alpha": "1.0", "beta": "2.0", "gamma": "3.0", "uv": "0.9"}


def test_run_writes_a_lock_that_verifies_and_the_same_bytes_again(inputs: Path) -> None:
    resolve.run(root=inputs)
    first = contents(inputs)
    assert sorted(first) == [
        "cuda/10-base.txt",
        "cuda/20-model.txt",
        "cuda/lock.json",
        "tools.txt",
    ]
    assert verify.stale("cuda", root=inputs) == []
    assert all(locks.GENERATED in text.split("\n")[0] for text in first.values())
    resolve.run("cuda", root=inputs)
    assert contents(inputs) == first


def test_a_stage_that_went_away_takes_its_slice_along(inputs: Path) -> None:
    resolve.run(root=inputs)
    path = inputs / "env/stages.toml"
    path.write_text(path.read_text().replace('name = "model"', 'name = "models"'))
    resolve.run(root=inputs)
    assert sorted(p.name for p in (inputs / "lockfiles/cuda").glob("*.txt")) == [
        "10-base.txt",
        "20-models.txt",
    ]


@pytest.mark.parametrize("name", ["tools.txt", "cuda/10-base.txt", "cuda/lock.json", "cuda/x.txt"])
def test_a_hand_written_file_is_neither_written_over_nor_removed(inputs: Path, name: str) -> None:
    path = inputs / "lockfiles" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine\n")
    with pytest.raises(InputError, match="was not generated"):
        resolve.run(root=inputs)
    assert path.read_text() == "mine\n"


def test_what_each_package_requires_is_kept_with_the_lock(inputs: Path) -> None:
    packages = resolve.resolve(targets.load("cuda", root=inputs)).packages(PYTHON)
    assert packages["beta"][1].requires == ("alpha", "gamma")
    assert packages["alpha"][1].requires == ()


def colab(root: Path) -> targets.Target:
    path = root / "env/targets.toml"
    text = path.read_text().replace(
        "[target.cuda]", 'protected = ["al*"]\n[target.cuda]\ncolab = true'
    )
    path.write_text(text)
    return targets.load("cuda", root=root)


def test_a_colab_target_holds_only_what_the_runtime_lacks_or_has_otherwise(inputs: Path) -> None:
    lock = resolve.resolve(colab(inputs))
    assert sorted(lock.packages(PYTHON)) == ["beta", "gamma", "uv"]
    assert lock.provided == {"alpha": "1.0+cu1"}
    assert lock.slices[0].packages == ()


@pytest.mark.parametrize(
    ("accepts", "taken"), [(">=1,<2", ["gamma", "uv"]), (">=1.6", ["beta", "gamma", "uv"])]
)
def test_a_version_that_is_accepted_is_left_to_the_runtime(
    inputs: Path, accepts: str, taken: list[str]
) -> None:
    path = inputs / "env/stages.toml"
    accepted = f'version = "==2.0", accepts = "{accepts}"'
    path.write_text(path.read_text().replace('version = "==2.0"', accepted))
    assert sorted(resolve.resolve(colab(inputs)).packages(PYTHON)) == taken


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("error: No solution found", InputError),
        ("error: Failed to fetch: x", NetworkError),
        ("error: error sending request for url", NetworkError),
    ],
)
def test_what_uv_says_becomes_the_error(inputs: Path, said: str, error: type[Exception]) -> None:
    path = inputs / "env/targets.toml"
    path.write_text(path.read_text().replace('"nox==1 ;', f'"broken=={said.replace(" ", "_")} ;'))
    with pytest.raises(error, match=said):
        resolve.run(root=inputs)


def test_a_failure_leaves_every_lock_as_it_was(inputs: Path) -> None:
    resolve.run(root=inputs)
    before = contents(inputs)
    for name, old, new in (
        ("targets", "nox==1", "nox==2"),
        ("stages", '"beta", version = "==2.0"', '"broken", version = "==error:_No_solution_found"'),
    ):
        path = inputs / f"env/{name}.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match="No solution found"):
        resolve.run(root=inputs)
    assert contents(inputs) == before


HASH = f"    --hash=sha256:{'0' * 64}"
LIST = f"# Generated\na-b==1.0 ; python_version < '3.12' \\\n{HASH} \\\n{HASH}\nb==2 \\\n{HASH}\n"


def test_a_list_of_tools_is_read() -> None:
    assert resolve.tool_pins(LIST) == [("a-b", "1.0"), ("b", "2")]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (f"b==2 \\\n{HASH}", "b==2", 5),
        ("b==2", "b>=2", 5),
        (HASH, HASH[:-1], 2),
        ("# Generated", "# Generated \\", 1),
        ("# Generated", "# Generated \\\nevil==1", 1),
        ("# Generated", "# Generated\nevil==1", 2),
        ("# Generated", "--index-url https://example.org", 1),
        ("3.12' \\", "3.12' # \\", 2),
        ("\n", "\r\n", 2),
    ],
)
def test_a_line_that_is_not_a_hashed_pin_is_named(old: str, new: str, line: int) -> None:
    assert old in LIST
    with pytest.raises(DataError, match=f"line {line} does not begin a pin with hashes"):
        resolve.tool_pins(LIST.replace(old, new))
