"""Build the images of ``docker/Dockerfile``, check their sizes, and prove that two builds are equal.

Needs a Docker Engine with BuildKit and its containerd image store. The checkout alone decides the
bytes of an image: all times are the lock's cutoff, so a new commit by itself changes no layer.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tarfile
import tempfile
import tomllib
import uuid
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from paperlora import process
from paperlora.environment.core import lock as locks
from paperlora.environment.core.terminal import columns
from paperlora.environment.image import oci
from paperlora.environment.image.oci import Image
from paperlora.errors import FindingsError, InputError, PaperloraError
from paperlora.files import ROOT

VARIANTS = ("tools", "cuda")
_PARTS = ("docker", "env", "lockfiles", "src")
_FORM = "oci-mediatypes=true,compression=zstd,rewrite-timestamp=true"


def settings(*, root: Path = ROOT) -> dict[str, str]:
    """Return the variables of ``docker-bake.hcl`` that depend on the checkout."""
    lock = locks.load("cuda", root=root)
    remote = _git(root, "remote", "get-url", "origin")
    return {
        "SOURCE_DATE_EPOCH": str(int(datetime.fromisoformat(lock.cutoff).timestamp())),
        "LOCK_DIGEST": lock.digest,
        "RUNTIME": lock.runtime,
        "REVISION": _git(root, "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"),
        "SOURCE_URL": remote if remote.startswith("https://") and "@" not in remote else "",
    }


def _git(root: Path, *arguments: str) -> str:
    """Return what git prints; ``""`` where git is missing or the folder is not a checkout."""
    done = process.run(["git", "-C", str(root), *arguments])
    return done.text if done.code == 0 else ""


def bake(variant: str, output: str, *options: str, source: Path = ROOT, downloads: str = "") -> str:
    """Build ``variant`` of the checkout ``source`` and return the digest of its manifest.

    ``output`` is an exporter in buildx's syntax; ``downloads`` names another package cache than the
    default one. Variables of ``docker-bake.hcl`` can also come from the environment (``BASE_IMAGE``,
    ``NETWORK``). The certificate authorities in ``SSL_CERT_FILE`` reach the build as a secret.
    Raises ``InputError`` when there is no engine and ``FindingsError`` when the build fails.
    """
    given = {**os.environ, **settings(), "CACHE_NAMESPACE": downloads}
    authorities = os.environ.get("SSL_CERT_FILE")
    if authorities:
        options += ("--set", f"*.secrets=id=authorities,src={authorities}")
    with tempfile.TemporaryDirectory() as scratch:
        about = Path(scratch) / "metadata.json"
        command = ["docker", "buildx", "bake", "--file", "docker/docker-bake.hcl"]
        command += ["--allow", "network.host", "--allow", "fs=*", "--progress", "plain"]
        command += ["--metadata-file", str(about), "--set", f"*.output={output}"]
        code = process.call([*command, *options, variant], cwd=source, environment=given)
        if code and process.call(["docker", "buildx", "inspect"]):
            raise InputError(
                "there is no running Docker Engine with buildx, see above",
                remedy="install or start one, or set DOCKER_HOST",
            )
        if code:
            raise FindingsError(f"the build of {variant} failed with code {code}, see above")
        metadata = json.loads(about.read_text(encoding="utf-8"))
    return str(metadata[variant]["containerimage.digest"])


def build(variant: str, name: str) -> Image:
    """Build ``variant`` and load it into the engine as ``name``.

    The engine's own exporter cannot rewrite times, so the build writes a folder, which is loaded.
    The folder stays: the next build does not write its layers again.
    """
    folder = ROOT / ".envs/images" / variant
    folder.mkdir(parents=True, exist_ok=True)
    digest = bake(variant, f"type=oci,tar=false,dest={folder},{_FORM}")
    image = Image(folder=folder, digest=digest)
    oci.keep_only(image, f"docker.io/library/{name}")
    with (
        suppress(BrokenPipeError),  # an engine that fails does not read to the end
        process.stream(["docker", "load", "--quiet"], feed=True) as loader,
        tarfile.open(fileobj=loader.stdin, mode="w|") as archive,
    ):
        for part in ("oci-layout", "index.json", "blobs"):
            archive.add(folder / part, part)
    if loader.returncode:
        raise FindingsError(
            f"the engine could not load {name}, see above",
            remedy="turn on its containerd image store",
        )
    return image


def check_size(variant: str, image: Image) -> None:
    """Print the compressed sizes of the layers; ``FindingsError`` when their sum is over the budget."""
    rows = [(f"{one.size / 1e6:.2f} MB", one.made_by) for one in oci.layers(image)]
    total = sum(one.size for one in oci.layers(image))
    table = [("size", f"layer of {variant}"), *rows, (f"{total / 1e6:.2f} MB", "all layers")]
    print("\n".join(columns(table, [""] * len(table))), file=sys.stderr)
    budget = tomllib.loads((ROOT / "docker/budget.toml").read_text(encoding="utf-8"))[variant]
    if total > budget:
        raise FindingsError(
            f"{variant} has {total / 1e6:.1f} MB, its budget is {budget / 1e6:.1f} MB",
            remedy="remove something, or raise the budget in docker/budget.toml with a reason",
        )


def reproduce(variant: str, *, other: Path = ROOT) -> str:
    """Build ``variant`` twice in different folders, without any cache, and return the digest.

    ``other`` is the checkout of the second build. Raises ``FindingsError`` with the first difference
    when the two digests differ.
    """
    images = []
    (ROOT / ".envs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="images-", dir=ROOT / ".envs") as scratch:
        for name, checkout in (("one", ROOT), ("another/one", other)):
            source = Path(scratch) / name
            for part in _PARTS:
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(checkout / part, source / part, ignore=ignored)
            folder = source / "image"
            output = f"type=oci,tar=false,dest={folder},{_FORM}"
            space = uuid.uuid4().hex
            digest = bake(variant, output, "--no-cache", source=source, downloads=space)
            images.append(Image(folder=folder, digest=digest))
        if images[0].digest != images[1].digest:
            raise FindingsError(
                f"two builds of {variant} differ: {oci.first_difference(*images)}",
                remedy="make it the same in every build",
            )
        return images[0].digest


def run(arguments: argparse.Namespace) -> None:
    """Build the requested variants and print a record of each image, one JSON object per line."""
    if unknown := set(arguments.variants) - set(VARIANTS):
        raise InputError(
            f"there is no variant {min(unknown)}", remedy=f"use {' or '.join(VARIANTS)}"
        )
    for variant in arguments.variants or VARIANTS:
        name = f"{arguments.name}:{variant}"
        image = None
        if arguments.reproduce:
            digest = reproduce(variant)
        elif arguments.quick:
            digest = bake(variant, f"type=docker,name={name},{_FORM.partition(',rewrite')[0]}")
        elif arguments.push:
            digest = bake(variant, f"type=image,name={name},push=true,{_FORM}")
        else:
            image = build(variant, name)
            digest = image.digest
        base = os.environ.get("BASE_IMAGE") or "the one pinned in docker/Dockerfile"
        print(json.dumps({"variant": variant, "digest": digest, "base": base, **settings()}))
        if image:
            check_size(variant, image)
        if arguments.expect not in {None, digest}:
            raise FindingsError(
                f"{variant} has digest {digest}, not {arguments.expect}",
                remedy="use the revision and the base image that the record of the image names",
            )


def main(argv: list[str]) -> int:
    """Run the session's command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="env/nox -s image --", description="Build the images.")
    parser.add_argument("variants", nargs="*", help="tools, cuda (default: both)")
    parser.add_argument(
        "--name", default="paperlora", help="name before the tag (default: paperlora)"
    )
    quick = "for development: faster, but the times of the build decide the digest"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--push", action="store_true", help="push the image, keep no local copy")
    parser.add_argument("--reproduce", action="store_true", help="build twice without caches")
    parser.add_argument("--expect", metavar="DIGEST", help="fail if the digest is another one")
    try:
        run(parser.parse_args(argv))
    except PaperloraError as error:
        print(f"image: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
