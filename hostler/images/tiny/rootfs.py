"""Fills the guest's file system: busybox, dropbear with its libraries, the kernel modules of virtual hardware, and
our own scripts from `overlay/`. The whole lives in RAM; what must outlast a reboot goes to a partition that the
guest makes on its disk at the first boot.
"""

from __future__ import annotations

import fnmatch
import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from hostler.images.tiny import cpio, kernel
from hostler.images.tiny.commands import find_file, find_tool, run

# What QEMU shows a guest, the file systems of config drives (ISO and FAT), and what user data may need.
MODULES = ("virtio_pci", "virtio_net", "virtio_blk", "virtio_scsi", "virtio_console", "virtio_balloon", "virtio_rng",
           "sd_mod", "sr_mod", "isofs", "vfat", "nls_ascii", "nls_cp437", "nls_iso8859_1", "nls_utf8", "ext4",
           "af_packet", "button", "evdev", "8021q", "e1000", "e1000e", "ahci")
DIRECTORIES = ("bin", "dev", "etc", "lib", "lib/modules", "mnt", "persist", "proc", "run", "sys", "tmp", "usr", "var",
               "var/log")
LINKS = {"sbin": "bin", "usr/bin": "../bin", "usr/sbin": "../bin", "var/run": "../run", "var/lib": "../persist"}
BUSYBOX = ("/usr/bin/busybox", "/bin/busybox")
# The real mke2fs, since busybox's makes no journal: without one a guest that is switched off hard loses files.
PROGRAMS = (("dropbear", "dropbear-bin"), ("dropbearkey", "dropbear-bin"), ("mke2fs", "e2fsprogs"))
_LIBRARY = re.compile(rb"(/\S+)")


def programs() -> list[Path]:
    """Return the host's programs that go into the guest, busybox first; raises BuildFailed when one is missing."""
    found = [find_file(BUSYBOX, "busybox-static")]
    return found + [Path(find_tool(name, package)) for name, package in PROGRAMS]


def overlay_files() -> dict[str, bytes]:
    """Return our own part of the guest: path → content."""
    found: dict[str, bytes] = {}

    def walk(node: Traversable, prefix: str) -> None:
        for child in sorted(node.iterdir(), key=lambda item: item.name):
            if child.is_dir():
                walk(child, f"{prefix}{child.name}/")
            else:
                found[prefix + child.name] = child.read_bytes()

    walk(resources.files("hostler.images.tiny").joinpath("overlay"), "")
    return found


def build_archive(source: kernel.Kernel) -> bytes:
    """Return the uncompressed initial RAM file system for the kernel `source`."""
    entries = {path: cpio.directory() for path in DIRECTORIES}
    entries.update({path: cpio.link(target) for path, target in LINKS.items()})
    entries["root"] = cpio.directory(0o700)
    entries["dev/console"] = cpio.character_device(5, 1)
    entries["dev/null"] = cpio.character_device(1, 3)
    _add_programs(entries)
    _add_modules(entries, source)
    for path, data in overlay_files().items():
        _add_file(entries, path, cpio.file(data, executable=data.startswith(b"#!"), private=path == "etc/shadow"))
    return cpio.archive(entries)


def _add_file(entries: dict[str, cpio.Entry], path: str, entry: cpio.Entry) -> None:
    for parent in reversed(Path(path).parents[:-1]):
        entries.setdefault(str(parent), cpio.directory())
    entries[path] = entry


def _add_programs(entries: dict[str, cpio.Entry]) -> None:
    busybox, *others = programs()
    entries["bin/busybox"] = cpio.file(busybox.read_bytes(), executable=True)
    for applet in run(busybox, "--list").decode().split():
        entries.setdefault(f"bin/{applet}", cpio.link("busybox"))
    for program in others:
        entries[f"bin/{program.name}"] = cpio.file(program.read_bytes(), executable=True)
        for library in _LIBRARY.findall(run("ldd", program)):
            path = Path(library.decode())
            _add_file(entries, str(path).lstrip("/"), cpio.file(path.read_bytes(), executable=True))


def _add_modules(entries: dict[str, cpio.Entry], source: kernel.Kernel) -> None:
    """Lay the chosen modules flat into one directory, with the two indexes that busybox's modprobe reads."""
    chosen = kernel.select_modules(source, MODULES)
    base = f"lib/modules/{source.release}"
    flat = {path: kernel.module_name(path) + ".ko" for path in chosen}
    for path, name in flat.items():
        _add_file(entries, f"{base}/{name}", cpio.file(kernel.read_module(source, path)))
    order = "".join(f"{flat[path]}: {' '.join(flat[need] for need in needs)}\n" for path, needs in chosen.items())
    names = {kernel.module_name(path) for path in chosen}
    aliases = [line for line in (source.modules / "modules.alias").read_text().splitlines()
               if line.split()[-1].replace("-", "_") in names and not fnmatch.fnmatch(line, "#*")]
    entries[f"{base}/modules.dep"] = cpio.file(order.encode())
    entries[f"{base}/modules.alias"] = cpio.file(("\n".join(aliases) + "\n").encode())
