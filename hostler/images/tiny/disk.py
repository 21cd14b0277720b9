"""Makes a bootable disk of a kernel and an initial RAM file system: MBR, one FAT16 partition, syslinux; as qcow2.

Only files are touched: the partition is made in a file of its own and copied to its place behind the MBR.
"""

from __future__ import annotations

import struct
from pathlib import Path

from hostler.images.tiny.commands import find_file, find_tool, run

MIB = 1 << 20
SECTOR = 512
PARTITION_START = MIB // SECTOR
FAT16_LBA = 0x0E
DISK_ID = 0x1D0571E4
# Under TCG each of these saves noticeable time: no probing of clocks and timers that are known good, no self test
# of ciphers, no mitigations for processors that the guest does not run on, no relocation of the kernel.
KERNEL_ARGUMENTS = ("console=tty0 console=ttyS0,115200 quiet panic=10 tsc=reliable no_timer_check "
                    "cryptomgr.notests mitigations=off nokaslr random.trust_cpu=on rdinit=/bin/init")
MBR_CODE = ("/usr/lib/syslinux/mbr/mbr.bin", "/usr/lib/SYSLINUX/mbr.bin")
LOADER = ("/usr/lib/syslinux/modules/bios/ldlinux.c32",)


def loader_files() -> list[Path]:
    """Return the boot loader's files on this machine; raises BuildFailed naming the package that has them."""
    return [find_file(MBR_CODE, "syslinux-common"), find_file(LOADER, "syslinux-common"),
            Path(find_tool("syslinux", "syslinux"))]


def make_bootable(vmlinuz: Path, initrd: bytes, scratch: Path, output: Path) -> None:
    """Write the qcow2 `output`; `scratch` is an empty directory of the caller's."""
    (scratch / "initrd").write_bytes(initrd)
    (scratch / "vmlinuz").write_bytes(vmlinuz.read_bytes())
    (scratch / "syslinux.cfg").write_text(
        "DEFAULT tiny\nPROMPT 0\nTIMEOUT 0\nLABEL tiny\n KERNEL /vmlinuz\n INITRD /initrd\n"
        f" APPEND {KERNEL_ARGUMENTS}\n")
    content = sum((scratch / name).stat().st_size for name in ("initrd", "vmlinuz"))
    fat = _make_partition(scratch, content // MIB + 3)
    disk = scratch / "disk"
    with disk.open("wb") as stream:
        stream.write(_boot_record(fat.stat().st_size // SECTOR))
        stream.seek(PARTITION_START * SECTOR)
        stream.write(fat.read_bytes())
        stream.truncate(PARTITION_START * SECTOR + fat.stat().st_size + MIB)
    run(find_tool("qemu-img", "qemu-utils"), "convert", "-c", "-f", "raw", "-O", "qcow2", disk, output)


def _make_partition(scratch: Path, size_mib: int) -> Path:
    fat = scratch / "fat"
    with fat.open("wb") as stream:
        stream.truncate(size_mib * MIB)
    # Hidden sectors: the boot loader's sector numbers count from the partition, the BIOS's from the disk.
    run(find_tool("mkfs.vfat", "dosfstools"), "-F", "16", "-n", "BOOT", "-i", f"{DISK_ID:08x}",
        "-h", str(PARTITION_START), fat)
    _mbr, loader, syslinux = loader_files()
    run(find_tool("mcopy", "mtools"), "-i", fat, *(scratch / name for name in ("vmlinuz", "initrd", "syslinux.cfg")),
        loader, "::/")
    run(syslinux, "--install", fat)
    return fat


def _boot_record(sectors: int) -> bytes:
    """Return the first sector: boot code, disk id, one active partition, signature."""
    code = loader_files()[0].read_bytes()[:440].ljust(440, b"\0")
    beyond = b"\xfe\xff\xff"  # cylinder/head/sector that says: look at the sector numbers
    entry = struct.pack("<B3sB3sII", 0x80, beyond, FAT16_LBA, beyond, PARTITION_START, sectors)
    return code + struct.pack("<IH", DISK_ID, 0) + entry + b"\0" * 48 + b"\x55\xaa"
