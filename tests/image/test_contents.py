"""The images hold the lock and nothing else, and work for a plain user on a read-only root."""

from __future__ import annotations

import json

import pytest
from engine import about, inside, shell

from paperlora.environment.core import lock as locks
from paperlora.environment.core import target as targets

pytestmark = [pytest.mark.image, pytest.mark.timeout(900)]
BOTH = pytest.mark.parametrize("variant", ["tools", "cuda"])
# libcupti opens it for a profiler's counters only.
PROFILERS = {"libcupti.so.12: libcupti.so", "libcupti.so.12: libnvperf_host.so"}
SITE = "/opt/paperlora/.envs/cuda/lib/python3.12/site-packages"


@BOTH
def test_a_plain_user_who_can_write_nowhere_else(variant: str) -> None:
    assert shell("id -u", variant=variant).strip() == "1000"
    search = (
        r"find / -xdev \( -type f -o -type d \) -writable -not -path '/proc/*' 2>/dev/null || true"
    )
    seen = set(shell(search, variant=variant).split())
    allowed = {"/tmp", "/var/tmp", "/run/lock", "/runs", "/models", "/papers"}
    assert "/tmp" in seen
    assert seen <= allowed


@BOTH
def test_nothing_is_left_of_the_build(variant: str) -> None:
    folders = (
        "/var/cache/uv ~root/.cache /var/cache/apt/archives /var/lib/apt/lists /tmp /installer"
    )
    assert not shell(
        f"find {folders} -type f -size +0 2>/dev/null || true", variant=variant, options=("-u", "0")
    )
    compiled = "find /opt -name '*.pyc' -o -name '*.log'"
    assert not shell(compiled, variant=variant)
    # The control: the search finds what is there.
    assert shell(f"touch /tmp/a.pyc; {compiled.replace('/opt', '/tmp')}", variant=variant)


@BOTH
def test_labels_and_volumes(variant: str) -> None:
    config = about(variant)["Config"]
    labels = config["Labels"]
    lock = locks.load("cuda")
    assert labels["paperlora.lock"] == lock.digest
    assert labels["paperlora.colab-runtime"] == lock.runtime
    assert labels["org.opencontainers.image.revision"]
    assert set(config["Volumes"]) == {"/runs", "/models", "/papers"}
    secrets = [one for one in config["Env"] if "TOKEN" in one or "INDEX" in one or "SSL" in one]
    assert not secrets


def test_the_environment_is_the_lock_file_by_file() -> None:
    assert inside("verify", "--files").startswith("verified: cuda")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (f"echo >> {SITE}/peft/__init__.py", "peft/__init__.py: the file was changed"),
        (f"rm {SITE}/peft/helpers.py", "peft/helpers.py: the file is missing"),
        (
            f"""rm {SITE}/peft/helpers.py; cd /opt/paperlora/.envs/cuda
            sed -i 's|^\\[|["peft/helpers.py",|' .removed.json""",
            "peft/helpers.py: was removed, but docker/removals.toml does not declare that",
        ),
    ],
    ids=["changed", "missing", "undeclared"],
)
def test_a_damaged_environment_is_told(damage: str, told: str) -> None:
    script = f"{damage}; python -m paperlora verify --files || exit $?"
    assert told in shell(script, options=("-u", "0"), code=3)


def test_declared_files_are_gone() -> None:
    gone = f"find {SITE} -name '*.a' -o -path '*/torch/include/*' -o -name 'libcusolverMg*'"
    assert not shell(gone)


def test_every_probe_works_after_the_removals() -> None:
    for stage in targets.stages():
        options = ("-w", "/opt/paperlora", "--entrypoint", "python")
        inside("-m", "paperlora.environment.core.install", "probe", stage.name, options=options)


def test_bitsandbytes_picks_the_library_of_torch_s_cuda() -> None:
    script = "import torch; print(torch.version.cuda.replace('.', ''))"
    cuda = inside("-c", script, options=("--entrypoint", "python")).strip()
    libraries = shell(f"cd {SITE}/bitsandbytes; ls *.so").split()
    assert libraries == ["libbitsandbytes_cpu.so", f"libbitsandbytes_cuda{cuda}.so"]


def test_nothing_links_what_was_removed() -> None:
    script = """
import json, pathlib, sys
site = pathlib.Path(sys.argv[1])
removed = json.loads((site.parents[2] / ".removed.json").read_text())
gone = {pathlib.Path(one).name for one in removed if "/lib/" in one and ".so" in one}
found = list(site.rglob("*.so*"))
gone -= {path.name for path in found}  # a twin elsewhere serves
for path in found:
    body = path.read_bytes()
    print(*(f"{path.name}: {name}" for name in gone if b"\\0" + name.encode() + b"\\0" in body), sep="\\n")
print(len(gone), "names")
"""
    *told, count = inside("-c", script, SITE, options=("--entrypoint", "python")).split("\n")[:-1]
    assert int(count.split()[0]) > 3
    assert {line for line in told if line} <= PROFILERS


def test_the_sbom_has_every_package_with_hash_and_licence() -> None:
    document = json.loads(inside("sbom"))
    seen = {one["name"]: one for one in document["components"]}
    assert seen.keys() == locks.load("cuda").packages("3.12").keys()
    assert all(one["licenses"] for one in seen.values())
    assert all(one["externalReferences"][0]["hashes"] for one in seen.values())


def test_doctor_explains_a_host_without_a_gpu() -> None:
    assert "GPU" in inside("doctor")


def test_tools_checks_the_locks() -> None:
    assert inside("check", variant="tools").startswith("checked: ")


def test_an_unknown_command_is_refused() -> None:
    assert "invalid choice" in inside("trian", code=2)
