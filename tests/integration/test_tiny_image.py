"""The tiny image is built from this machine's packages and boots: network, key, host name, user data, power button."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler.images.tiny import build, commands
from tests.harness import ports

BOOT_TIMEOUT_S = 180


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built image, or skip where the packages cannot be had."""
    directory = tmp_path_factory.mktemp("tiny")
    try:
        return build.build(directory / "tiny.qcow2", directory / "work")
    except commands.BuildFailed as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


class Guest:
    """One QEMU process with a config drive."""

    def __init__(self, directory: Path, image: Path) -> None:
        self.directory = directory
        self.port = ports.free_port()
        self.key = directory / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        disk = directory / "disk.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", disk, "1G"], check=True)
        self.process = subprocess.Popen([
            "qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-m", "192", "-display", "none",
            "-serial", f"file:{directory}/console.log", "-monitor", f"unix:{directory}/monitor,server,nowait",
            "-drive", f"file={disk},if=virtio",
            "-drive", f"file={self._config_drive()},if=virtio,format=raw,readonly=on",
            "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.port}-:22", "-device", "virtio-net-pci,netdev=net",
            "-device", "virtio-rng-pci"])

    def _config_drive(self) -> Path:
        latest = self.directory / "drive/openstack/latest"
        latest.mkdir(parents=True)
        public_key = self.key.with_suffix(".pub").read_text()
        (latest / "meta_data.json").write_text(json.dumps({
            "uuid": "0c86f2ba-7d1f-4b3f-9c51-1f2a3b4c5d6e", "hostname": "little.example.org",
            "public_keys": {"mine": public_key}}))
        (latest / "user_data").write_text("#!/bin/sh\necho ran >> /persist/user-data-ran\n")
        drive = self.directory / "drive.iso"
        subprocess.run(["genisoimage", "-quiet", "-o", drive, "-V", "config-2", "-J", "-r", self.directory / "drive"],
                       check=True)
        return drive

    def ssh(self, command: str) -> str:
        """Run a command in the guest; raises CalledProcessError while it does not answer."""
        return subprocess.run(
            ["ssh", "-i", self.key, "-p", str(self.port), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5",
             "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
             "root@127.0.0.1", command], check=True, capture_output=True, text=True).stdout.strip()

    def wait_for_ssh(self) -> None:
        """Return once a command runs in the guest."""
        def answers() -> bool:
            try:
                return bool(self.ssh("echo here"))
            except subprocess.CalledProcessError:
                return False

        ports.wait_for(answers, f"ssh; console: {self.console()}", timeout_s=BOOT_TIMEOUT_S, every_s=0.5)

    def console(self) -> str:
        """Return what the guest wrote on its serial console."""
        path = self.directory / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def monitor(self, command: str) -> None:
        """Send one command to QEMU's monitor."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.directory / "monitor"))
            client.sendall(command.encode() + b"\n")
            time.sleep(0.5)


@pytest.fixture(scope="module")
def guest(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """Boot the image."""
    for program in ("qemu-system-x86_64", "genisoimage", "ssh"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    made = Guest(tmp_path_factory.mktemp("guest"), image)
    yield made
    made.process.kill()
    made.process.wait()


@pytest.mark.contract("Z-TINYIMAGE")
def test_image_is_small_and_an_unchanged_build_does_nothing(image: Path) -> None:
    assert image.stat().st_size <= build.MAX_BYTES == 22_000_000
    before = image.stat()
    build.build(image, image.parent / "work")
    assert image.stat().st_ino == before.st_ino
    assert image.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.contract("Z-TINYIMAGE")
def test_guest_takes_key_name_and_user_data_and_obeys_the_power_button(guest: Guest) -> None:
    guest.wait_for_ssh()
    assert guest.ssh("hostname") == "little"
    ports.wait_for(lambda: "ran" in guest.ssh("cat /persist/user-data-ran; true"), "user data", timeout_s=30)
    assert "ready host=little" in guest.console()
    guest.ssh("dd if=/dev/urandom of=/persist/data bs=1k count=64 2>/dev/null; sync")
    digest = guest.ssh("md5sum /persist/data")

    guest.monitor("system_reset")
    ports.wait_for(lambda: guest.console().count("ready host=little") == 2, "second boot", timeout_s=BOOT_TIMEOUT_S)
    guest.wait_for_ssh()
    assert guest.ssh("md5sum /persist/data") == digest
    assert guest.ssh("cat /persist/user-data-ran") == "ran", "user data runs once per instance"

    guest.monitor("system_powerdown")
    guest.process.wait(timeout=60)
