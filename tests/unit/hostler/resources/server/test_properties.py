"""Which image properties and extra specs are accepted, and that none of ours passes unread."""

from __future__ import annotations

import pytest

from hostler import errors
from hostler.resources.server import cpu_topology
from hostler.resources.server.properties import check_properties


@pytest.mark.parametrize("properties", [
    {"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"}, {"hw_vif_model": "E1000"}, {"hw_rng_model": "virtio"},
    {"os_shutdown_timeout": "30"}, {"os_shutdown_timeout": 0}, {"hw_qemu_guest_agent": "yes"},
    {"hw_firmware_type": "bios"}, {"hw_machine_type": "q35"},
    {"hw_machine_type": "pc-q35-7.2"}, {"hw_firmware_type": "uefi"}, {"hw_mem_encryption": "False"},
    {"os_distro": "debian", "os_type": "linux", "os_admin_user": "ops", "os_codename": "trixie"},
    {"colour": "blue", "architecture": "x86_64", "hwaddr": "x"}, {"hw_cdrom_bus": "sata"},
])
def test_accepted_image_properties(properties: dict[str, object]) -> None:
    check_properties(properties, {})


@pytest.mark.parametrize(("name", "value"), [
    ("hw_disk_bus", "ide"), ("hw_vif_model", "vmxnet3"), ("hw_rng_model", "tpm"), ("os_shutdown_timeout", "soon"),
    ("os_shutdown_timeout", "-1"), ("os_shutdown_timeout", "9999999999"), ("hw_firmware_type", "coreboot"),
    ("hw_machine_type", "pc-i440fx-7.2"), ("hw_mem_encryption", "true"), ("hw_numa_nodes", "2"),
    ("hw_numa_mem.0", "512"), ("hw_tpm_model", "tpm-crb"), ("os_command_line", "init=/bin/sh"),
    ("os_secure_boot", "required"), ("os_require_quiesce", "perhaps"), ("hw_something_new", "1"),
    ("hw_cpu_cores", "0"), ("hw_cpu_policy", "dedicated"), ("hw_mem_page_size", "large"), ("hw_video_ram", "64"),
])
def test_refused_image_properties_are_named(name: str, value: str) -> None:
    with pytest.raises(errors.InvalidField) as refused:
        check_properties({"colour": "blue", name: value}, {})
    assert refused.value.fields["field"] == name
    assert refused.value.fields["value"] == value


@pytest.mark.parametrize("specs", [
    {"hw_rng:allowed": "True", "hw_rng:rate_bytes": "2048", "hw_rng:rate_period": "1000"},
    {"quota:disk_read_iops_sec": "100"}, {"hw:cpu_policy": "shared"}, {"hw:mem_page_size": "any"},
    {"quota:cpu_quota": "5000", "quota:cpu_period": "10000", "quota:cpu_shares": "512"}, {"hw:firmware_type": "uefi"},
    {"quota:vif_inbound_average": "1000", "quota:vif_inbound_peak": "2000", "quota:vif_outbound_average": "1"},
    {"aggregate_instance_extra_specs:ssd": "true", "trait:CUSTOM_X": "required", "capabilities:ssd": "yes"},
    {"hostler:on_host_failure": "restart"}, {"hostler:on_host_failure": "none"},
])
def test_accepted_extra_specs(specs: dict[str, str]) -> None:
    check_properties({}, specs)


@pytest.mark.parametrize(("name", "value"), [
    ("quota:cpu_quota", "5"), ("quota:cpu_period", "9"), ("quota:cpu_cores", "1"), ("quota:vif_inbound_peak", "1000"),
    ("hw:machine_type", "pc"), ("quota:disk_read_bytes_sec", "fast"),
    ("hw:cpu_policy", "dedicated"), ("hw:cpu_thread_policy", "isolate"), ("hw:mem_page_size", "1GB"),
    ("hw:numa_nodes", "2"), ("hw:pmem", "6GB"), ("pci_passthrough:alias", "gpu:1"), ("resources:VGPU", "1"),
    ("accel:device_profile", "x"), ("hide_hypervisor_id", "true"), ("hw:tpm_version", "2.0"),
    ("hostler:on_host_failure", "reboot"), ("hostler:on_host_failures", "restart"),
])
def test_refused_extra_specs_are_named(name: str, value: str) -> None:
    with pytest.raises(errors.InvalidField) as refused:
        check_properties({}, {name: value})
    assert refused.value.fields["field"] == name


def test_a_total_beside_its_parts_is_refused() -> None:
    check_properties({}, {"quota:disk_total_iops_sec": "100", "quota:disk_read_iops_sec": "0",
                          "quota:disk_read_bytes_sec": "5"})
    with pytest.raises(errors.InvalidField, match="quota:disk_total_iops_sec"):
        check_properties({}, {"quota:disk_total_iops_sec": "100", "quota:disk_write_iops_sec": "50"})


def test_topologies() -> None:
    assert cpu_topology.choose(4, {}, {}) == (4, 1, 1)
    assert cpu_topology.choose(4, {"hw_cpu_sockets": "1"}, {"hw:cpu_sockets": "2"}) == (1, 4, 1)
    assert cpu_topology.choose(4, {"hw_cpu_max_sockets": "2"}, {"hw:cpu_threads": "2"}) == (2, 1, 2)
    assert cpu_topology.choose(6, {"hw_cpu_max_sockets": "1", "hw_cpu_max_cores": "3"}, {}) == (1, 3, 2)
    assert cpu_topology.choose(3, {"hw_cpu_max_sockets": 8}, {}) == (3, 1, 1)


@pytest.mark.parametrize(("vcpus", "specs"), [(3, {"hw:cpu_sockets": "2"}),
                                              (4, {"hw:cpu_max_sockets": "1", "hw:cpu_max_cores": "1",
                                                   "hw:cpu_max_threads": "2"})])
def test_impossible_topology_is_refused(vcpus: int, specs: dict[str, str]) -> None:
    with pytest.raises(errors.InvalidField, match=f"{vcpus} vCPUs"):
        check_properties({}, specs, vcpus)
