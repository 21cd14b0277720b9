"""Finds the distribution's kernel package for virtual machines, fetches it with apt-get and reads what is in it.

Nothing is installed: the package is unpacked into the work directory. Debian's cloud kernel comes in one package,
Ubuntu's virtual kernel in two (image and modules); both are named by a meta package that apt resolves.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path

from hostler.images.tiny.commands import BuildFailed, find_tool, run

META_PACKAGES = ("linux-image-cloud-amd64", "linux-image-virtual")
_CONCRETE = re.compile(r"^linux-(image|modules)-(unsigned-)?\d")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
    """One concrete package and the version that apt would install."""

    name: str
    version: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kernel:
    """An unpacked kernel: the boot image and the directory of its modules."""

    release: str
    image: Path
    modules: Path


def find_packages() -> tuple[Package, ...]:
    """Return the packages that hold the newest kernel apt knows; raises BuildFailed when it knows none."""
    apt_cache = find_tool("apt-cache", "apt")
    for meta in META_PACKAGES:
        names = _concrete_names(apt_cache, meta)
        if names:
            return tuple(Package(name=name, version=_candidate(apt_cache, name)) for name in names)
    raise BuildFailed(reason=f"apt knows none of {', '.join(META_PACKAGES)}; run apt-get update.")


def _concrete_names(apt_cache: str, meta: str) -> list[str]:
    listing = run(apt_cache, "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
                  "--no-breaks", "--no-replaces", "--no-enhances", meta).decode() if _known(apt_cache, meta) else ""
    names = [line for line in listing.splitlines() if _CONCRETE.match(line) and "-extra-" not in line]
    # Ubuntu names a signed and an unsigned image as alternatives; one is enough.
    signed = [name for name in names if "-unsigned-" not in name]
    return sorted(set(signed))


def _known(apt_cache: str, name: str) -> bool:
    return "Candidate: " in (policy := run(apt_cache, "policy", name).decode()) and "Candidate: (none)" not in policy


def _candidate(apt_cache: str, name: str) -> str:
    match = re.search(r"Candidate: (\S+)", run(apt_cache, "policy", name).decode())
    if match is None or match[1] == "(none)":
        raise BuildFailed(reason=f"apt has no candidate for {name}; run apt-get update.")
    return match[1]


def unpack(packages: Iterable[Package], work_dir: Path) -> Kernel:
    """Fetch `packages` (once; kept in `work_dir`) and unpack them; may be repeated."""
    packages = tuple(packages)
    label = "+".join(f"{package.name}_{package.version}" for package in packages).replace(":", "%3a")
    tree = work_dir / "kernel" / label
    if not (tree / "complete").exists():
        debs = [_fetch(package, work_dir / "packages") for package in packages]
        tree.mkdir(parents=True, exist_ok=True)
        for deb in debs:
            run(find_tool("dpkg-deb", "dpkg"), "--extract", deb, tree)
        (tree / "complete").touch()
    return _read_tree(tree)


def _fetch(package: Package, directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    pattern = f"{package.name}_{package.version.replace(':', '%3a')}_*.deb"
    if not list(directory.glob(pattern)):
        run(find_tool("apt-get", "apt"), "download", f"{package.name}={package.version}", cwd=directory)
    found = list(directory.glob(pattern))
    if not found:
        raise BuildFailed(reason=f"apt-get download left no {pattern}.")
    return found[0]


def _read_tree(tree: Path) -> Kernel:
    images = sorted(tree.glob("boot/vmlinuz-*"))
    if not images:
        raise BuildFailed(reason=f"no kernel in {tree.name}.")
    release = images[0].name.removeprefix("vmlinuz-")
    base = next((tree / top for top in ("lib", "usr/lib") if (tree / top / "modules" / release).is_dir()), None)
    if base is None:
        raise BuildFailed(reason=f"no modules of {release} in {tree.name}.")
    modules = base / "modules" / release
    if not (modules / "modules.dep").exists():
        run(find_tool("depmod", "kmod"), "-b", base.parent, release)
    return Kernel(release=release, image=images[0], modules=modules)


def select_modules(kernel: Kernel, wanted: Iterable[str]) -> dict[str, list[str]]:
    """Return module file (relative to the modules directory) → files it needs loaded first, for `wanted` and these.

    Names that the kernel has built in, or does not know, are left out: the guest copes with what is there.
    """
    needs: dict[str, list[str]] = {}
    by_name: dict[str, str] = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
        by_name[module_name(path)] = path
    chosen: dict[str, list[str]] = {}
    for name in wanted:
        found = by_name.get(name.replace("-", "_"))
        if found is None:
            continue
        for item in [found, *needs[found]]:
            chosen[item] = needs[item]
    return chosen


def module_name(path: str) -> str:
    """Return the name by which the kernel knows the module file `path`."""
    return Path(path).name.split(".ko")[0].replace("-", "_")


def read_module(kernel: Kernel, path: str) -> bytes:
    """Return the module's code, unpacked where the distribution compresses its modules."""
    file = kernel.modules / path
    if file.suffix == ".zst":
        return run(find_tool("zstd", "zstd"), "-dcq", file)
    if file.suffix == ".xz":
        return run(find_tool("xz", "xz-utils"), "-dcq", file)
    return file.read_bytes()
