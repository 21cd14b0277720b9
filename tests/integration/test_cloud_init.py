"""The distribution's cloud-init finds its data source in our guests, and reads our metadata with its own parsers.

Its package is fetched and unpacked, not installed: installed it would configure this machine.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("libvirt", reason="libvirt-python is not installed")

from compute import configdrive, diskfile, metadata
from compute.layout import Layout
from compute.virt import driver as virt
from compute.virt.libvirt import domainxml
from compute.virt.libvirt.driver import LibvirtDriver
from hostler import ids
from hostler.images.cache import ImageCache
from hostler.resources.server.specs import FixedIpSpec, NetworkSpec, PortSpec, ServerSpec, SubnetSpec
from tests.harness import real_parts
from tests.harness.ports import wait_for

BOOT_S = 150
# cloud-init, and the modules that it imports before it reads anything.
PACKAGES = ("cloud-init", "python3-configobj", "python3-six", "python3-jinja2", "python3-markupsafe")
DMI = ("sys_vendor", "product_name", "product_serial", "product_uuid", "product_family", "chassis_asset_tag",
       "board_name")
SCRIPT = "#!/bin/sh\n" + "".join(
    f'tiny-say "dmi {name}=$(cat /sys/class/dmi/id/{name})."\n' for name in DMI) + "tiny-say dmi-end\n"
READ = """
import json, sys
from cloudinit.sources.helpers import ec2, openstack
reader = getattr(openstack, sys.argv[1])(sys.argv[2])
if sys.argv[1] == "MetadataReader":
    # It asks the well-known address for EC2's tree, whatever it is told.
    reader._read_ec2_metadata = lambda: ec2.get_instance_metadata("latest", sys.argv[2])
found = reader.read_v2()
found["network"] = openstack.convert_net_json(found["networkdata"], known_macs={"fa:16:3e:00:00:01": "eth0"})
found["keys"] = found["metadata"]["public_keys"]
found["seed_bytes"] = len(found["metadata"].pop("random_seed"))
found["chosen"] = reader._find_working_version()
print(json.dumps(found, default=lambda value: value.decode()))
"""

SUBNET = SubnetSpec(id="s1", cidr="10.0.0.0/24", gateway_ip="10.0.0.1", dhcp_ip="10.0.0.2", enable_dhcp=False,
                    dns_nameservers=("9.9.9.9",))
PORT = PortSpec(id="aaaaaaaa-0000-4000-8000-000000000001", mac_address="fa:16:3e:00:00:01", server_id="x",
                network=NetworkSpec(id="n1", name="net", mtu=1450, subnets=(SUBNET,)),
                fixed_ips=(FixedIpSpec(ip_address="10.0.0.7", subnet_id="s1"),))
SERVER = ServerSpec(id=ids.new_id(), name="Web 1", hostname="web-1", project_id="p", user_id="u", vcpus=1, ram_mib=128,
                    root_gib=1, ports=(PORT,), metadata={"role": "web"}, key_name="me",
                    public_key="ssh-ed25519 AAAA me", user_data=base64.b64encode(SCRIPT.encode()).decode())


@pytest.fixture(scope="module")
def cloud_init() -> Path:
    cache = Path(os.environ.get("HOSTLER_TEST_CACHE") or Path.home() / ".cache" / "hostler-tests") / "cloud-init"
    root = cache / "root"
    if not (root / "usr/lib/cloud-init/ds-identify").exists():
        cache.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["apt-get", "download", *PACKAGES], cwd=cache, capture_output=True, text=True,
                              check=False)
        if done.returncode:
            pytest.skip(f"cloud-init's package cannot be had here: {done.stderr.strip()[-300:]}")
        for package in sorted(cache.glob("*.deb")):
            subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
    return root


def identify(cloud_init: Path, root: Path, dmi: dict[str, str]) -> str:
    """Return the data sources that ds-identify writes down for a machine with these DMI values; '' for none."""
    bin_path = root / "bin"
    files = {f"sys/class/dmi/id/{name}": value + "\n" for name, value in dmi.items()}
    files |= {"proc/cmdline": "BOOT_IMAGE=/vmlinuz", "proc/uptime": "5.0 5.0", "proc/1/cmdline": "/sbin/init\0",
              "proc/1/environ": "", "etc/cloud/cloud.cfg": "",
              # What such a guest's tools say: one disk with a file system, no config drive.
              "bin/blkid": "#!/bin/sh\nprintf 'DEVNAME=/dev/vda1\\nTYPE=ext4\\n'\n",
              "bin/systemd-detect-virt": "#!/bin/sh\necho qemu\n"}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for tool in bin_path.iterdir():
        tool.chmod(0o755)
    subprocess.run(["sh", str(cloud_init / "usr/lib/cloud-init/ds-identify"), "--force"], check=False,
                   capture_output=True, env={"PATH_ROOT": str(root), "PATH": f"{bin_path}:/usr/bin:/bin"}, timeout=60)
    result = root / "run/cloud-init/cloud.cfg"
    return result.read_text().strip() if result.exists() else ""


def test_ds_identify_finds_openstack_by_a_real_guests_smbios(cloud_init: Path, tmp_path: Path) -> None:
    with real_parts.libvirtd(tmp_path / "d") as uri:
        dmi = _dmi_of_a_guest(uri, tmp_path)
    assert dmi["product_name"] == "OpenStack Nova" and dmi["sys_vendor"] == "OpenStack Foundation"
    assert dmi["product_serial"] == dmi["product_uuid"] == SERVER.id and dmi["product_family"] == "Virtual Machine"
    assert identify(cloud_init, tmp_path / "ours", dmi) == "datasource_list: [ OpenStack, None ]"
    bare = {**dmi, "product_name": "Standard PC (Q35 + ICH9, 2009)", "sys_vendor": "QEMU"}
    assert "OpenStack" not in identify(cloud_init, tmp_path / "bare", bare)


def _dmi_of_a_guest(uri: str, directory: Path) -> dict[str, str]:
    layout = Layout(directory / "state")
    layout.prepare()
    machine = domainxml.Machine(host="host1", virt_type="qemu", cpu_mode="auto", disk_cache="auto",
                                pcie_ports=16)
    driver = LibvirtDriver(machine, uri=uri, call_timeout_s=20, probe_timeout_s=5, directory=layout.root)
    driver.open()
    image = real_parts.tiny_image()
    server = ServerSpec.from_wire({**SERVER.to_wire(), "ports": [], "image": image.to_wire(), "config_drive": True})
    layout.server(server.id).mkdir(parents=True)
    base = ImageCache(layout.images, max_bytes=1 << 30, min_age_s=0).fetch(image)
    log = layout.console_log(server.id)
    try:
        driver.create(virt.Guest(server, diskfile.DiskFiles(layout).ensure(server, base), (), log))
        wait_for(lambda: log.exists() and "dmi-end" in log.read_text(errors="replace"), "the guest's DMI", BOOT_S,
                 every_s=0.5)
    finally:
        driver.destroy(server.id)
        driver.close()
    lines = [line.split(" dmi ")[1] for line in log.read_text(errors="replace").splitlines() if " dmi " in line]
    return {name: value.strip().removesuffix(".") for name, _, value in (line.partition("=") for line in lines)}


@contextlib.contextmanager
def served(tree: dict[str, bytes]) -> Iterator[str]:
    """Serve a tree as the metadata service answers; yields the address."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = metadata.answer(tree, self.path)
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(b"" if found is None else found.body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("reader", ["MetadataReader", "ConfigDriveReader"])
def test_cloud_inits_parser_reads_service_and_drive(cloud_init: Path, tmp_path: Path, reader: str) -> None:
    script = tmp_path / "read.py"
    script.write_text(READ)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        if reader == "MetadataReader":
            where = stack.enter_context(served(metadata.documents(SERVER)))
        else:
            where = str(tmp_path / "drive")
            for name, body in configdrive.documents(SERVER).items():
                path = tmp_path / "drive" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(body)
        done = subprocess.run(["/usr/bin/python3", str(script), reader, where], capture_output=True, text=True,
                              check=False, timeout=120, env={
                                  "PYTHONPATH": str(cloud_init / "usr/lib/python3/dist-packages"),
                                  "PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    print(f"read in {time.monotonic() - started:.1f} s")
    assert found["metadata"]["instance-id"] == SERVER.id and found["metadata"]["local-hostname"] == "web-1"
    assert found["keys"] == {"me": SERVER.public_key} and found["userdata"] == SCRIPT
    assert found["chosen"] == "2018-08-27" and found["seed_bytes"] == 512
    assert found["ec2-metadata"]["instance-id"] == f"i-{SERVER.id[-8:]}"
    assert "ssh-ed25519 AAAA me" in json.dumps(found["ec2-metadata"]["public-keys"])
    [card] = [item for item in found["network"]["config"] if item["type"] == "physical"]
    assert (card["name"], card["mac_address"], card["mtu"]) == ("eth0", PORT.mac_address, 1450)
    [subnet] = card["subnets"]
    assert subnet["address"] == "10.0.0.7" and subnet["netmask"] == "255.255.255.0"
    assert any(route["gateway"] == "10.0.0.1" for route in subnet["routes"])
