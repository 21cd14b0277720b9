"""Which packages hold the kernel, and which modules go into the guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostler.images.tiny import kernel
from hostler.images.tiny.commands import BuildFailed

DEPENDS = {
    "linux-image-cloud-amd64": "linux-image-cloud-amd64\nlinux-image-6.1.0-9-cloud-amd64\nkmod\nlinux-base\n",
    "linux-image-virtual": "linux-image-virtual\nlinux-image-6.8.0-31-generic\nlinux-image-unsigned-6.8.0-31-generic\n"
                           "linux-modules-6.8.0-31-generic\nlinux-modules-extra-6.8.0-31-generic\nkmod\n",
}


def _fake_apt(monkeypatch: pytest.MonkeyPatch, known: set[str]) -> None:
    def run(*argv: str | Path, **_: object) -> bytes:
        name = str(argv[-1])
        if argv[1] == "depends":
            return DEPENDS[name].encode()
        candidate = "(none)" if name in DEPENDS and name not in known else "1:2.3-4"
        return f"{name}:\n  Candidate: {candidate}\n".encode()

    monkeypatch.setattr(kernel, "run", run)
    monkeypatch.setattr(kernel, "find_tool", lambda name, _package: name)


def test_debian_has_its_cloud_kernel_in_one_package(monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_apt(monkeypatch, {"linux-image-cloud-amd64"})
    assert kernel.find_packages() == (kernel.Package(name="linux-image-6.1.0-9-cloud-amd64", version="1:2.3-4"),)


def test_ubuntu_has_image_and_modules_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_apt(monkeypatch, {"linux-image-virtual"})
    assert [package.name for package in kernel.find_packages()] == [
        "linux-image-6.8.0-31-generic", "linux-modules-6.8.0-31-generic"]


def test_without_any_the_reason_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_apt(monkeypatch, set())
    with pytest.raises(BuildFailed, match="apt-get update"):
        kernel.find_packages()


def test_modules_come_with_what_they_need(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "kernel/net/virtio_net.ko: kernel/net/failover.ko kernel/virtio.ko\n"
        "kernel/net/failover.ko:\nkernel/virtio.ko:\n"
        "kernel/rng/virtio-rng.ko.zst: kernel/virtio.ko\nkernel/other.ko:\n")
    source = kernel.Kernel(release="6", image=tmp_path, modules=tmp_path)
    chosen = kernel.select_modules(source, ["virtio_net", "virtio_rng", "built_in"])
    assert set(chosen) == {"kernel/net/virtio_net.ko", "kernel/net/failover.ko", "kernel/virtio.ko",
                           "kernel/rng/virtio-rng.ko.zst"}
    assert chosen["kernel/net/virtio_net.ko"] == ["kernel/net/failover.ko", "kernel/virtio.ko"]
    assert kernel.module_name("kernel/rng/virtio-rng.ko.zst") == "virtio_rng"
