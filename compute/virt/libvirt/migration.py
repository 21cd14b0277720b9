"""Live migration of one domain: what it looks like, where it lands, how it is sent.

libvirt's peer-to-peer mode: the source's daemon talks to the target's, so a migration survives the agent that began it.
The domain's XML for the target is the running one with everything host-specific replaced: owner, files, volumes'
sources, console log. Both the live and the persistent definition are passed, or libvirt would keep the source's.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
from lxml import etree

from compute.virt import migration as terms
from compute.virt.libvirt import diskxml
from hostler import errors

LOG = logging.getLogger(__name__)
_PORTABLE = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE
_BASE_FLAGS = (libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_PERSIST_DEST
               | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE | libvirt.VIR_MIGRATE_ABORT_ON_ERROR)
_RUNS = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED, libvirt.VIR_DOMAIN_PAUSED)
_COUNTERS = {part: f"{part}_bytes" for part in (
    "memory_total", "memory_processed", "memory_remaining", "disk_total", "disk_processed", "disk_remaining")}


def describe(domain: libvirt.virDomain) -> terms.Origin:
    """Return processor and disks of a guest that runs or is paused."""
    if domain.state()[0] not in _RUNS:
        raise errors.AgentError(reason="The guest does not run on its host.")
    tree = etree.fromstring(domain.XMLDesc(0))
    # Of what is no volume the root disk alone builds on a file. It may be a disc, which cannot be written.
    base = next(iter(tree.xpath("devices/disk[not(serial)]/backingStore[source]")), None)
    return terms.Origin(
        _cpu_of(domain, tree),
        {_key(disk): domain.blockInfo(_key(disk))[0] for disk in _own_disks(tree)},
        "" if base is None else Path(base.find("source").get("file", "")).name,
        "" if base is None else base.xpath("string(format/@type)"))


def _cpu_of(domain: libvirt.virDomain, tree: Any) -> str:
    """Return the processor that the guest sees; one that is its host's is written out."""
    cpu = tree.find("cpu")
    if cpu is not None and cpu.get("mode") == "host-passthrough":
        return _host_cpu(domain.connect(), tree.get("type"))
    return "" if cpu is None else etree.tostring(cpu, encoding="unicode")


def check_cpu(conn: libvirt.virConnect, cpu: str, virt_type: str) -> None:
    """Raise AgentError with the features that this host lacks for a guest with `cpu`."""
    if not cpu:
        return
    try:
        conn.compareHypervisorCPU(None, None, None, virt_type, cpu, libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_CPU_INCOMPATIBLE:
            raise
        said = str(error)
        _, lists, lacking = said.partition("required features: ")
        raise errors.AgentError(reason="The target host does not have the guest's processor: "
                                       f"{f'it lacks {lacking}' if lists else said}.") from error


def adapted(running: str, definition: str) -> str:
    """Return the XML of a `running` domain for the host that would define the guest as `definition`."""
    tree, there = etree.fromstring(running), etree.fromstring(definition)
    _replace(tree, "metadata", there.find("metadata"))
    disks = {_key(disk): disk for disk in there.findall("devices/disk")}
    for disk in tree.findall("devices/disk"):
        wanted = disks.get(_key(disk))
        if disk.get("device") == "cdrom" and (wanted is None or wanted.find("source") is None):
            diskxml.empty(disk)  # its ISO is out again, or gone for good: the guest keeps the drive
            continue
        if wanted is None:
            raise errors.AgentError(reason=f"The target host does not know the guest's disk {_key(disk)}.")
        disk.set("type", wanted.get("type"))
        for name in ("source", "driver"):
            _replace(disk, name, wanted.find(name))
        for chain in disk.findall("backingStore"):  # found by the target
            disk.remove(chain)
    for kind in ("serial", "console"):
        log = there.find(f"devices/{kind}/log")
        for device in tree.findall(f"devices/{kind}"):
            if log is not None and device.find("log") is not None:
                device.find("log").set("file", log.get("file"))
    for nic in tree.findall("devices/interface"):
        [wanted] = [other for other in there.findall("devices/interface")
                    if other.find("mac").get("address") == nic.find("mac").get("address")]
        nic.find("source").set("bridge", wanted.find("source").get("bridge"))
    for channel in tree.findall("devices/channel[@type='unix']"):
        for source in channel.findall("source"):  # a socket in the source's own directory
            channel.remove(source)
    return etree.tostring(tree, encoding="unicode")


def send(uri: str, server_id: str, landing: terms.Landing, manner: terms.Manner) -> None:
    """Send over a connection of its own: libvirtd works on few requests of one client, and this one takes long."""
    with _connection(uri) as conn:
        try:
            domain = conn.lookupByUUIDString(server_id)
            _send(domain, landing, manner)
        except libvirt.libvirtError as error:
            code = error.get_error_code()
            if code == libvirt.VIR_ERR_NO_DOMAIN:
                return
            if code == libvirt.VIR_ERR_OPERATION_ABORTED:
                raise errors.MigrationAborted() from error
            raise


def progress(domain: libvirt.virDomain) -> terms.Transfer | None:
    """Return the progress of the migration under way, None when there is none."""
    try:
        stats: dict[str, Any] = domain.jobStats()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:  # it is off
            return None
        raise
    if stats.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
        return None
    return terms.Transfer(**{name: int(stats.get(part, 0)) for part, name in _COUNTERS.items()})


def abort(domain: libvirt.virDomain) -> None:
    """Stop the migration under way."""
    if progress(domain) is not None:
        domain.abortJob()


def force(domain: libvirt.virDomain) -> None:
    """Switch to post-copy, where the migration was begun with it, else let the guest stand still."""
    try:
        domain.migrateStartPostCopy()
    except libvirt.libvirtError as error:
        LOG.info("No post-copy for %s (%s): it stands still until it is at its target", domain.name(), error)
        domain.suspend()


def _send(domain: libvirt.virDomain, landing: terms.Landing, manner: terms.Manner) -> None:
    flags = _BASE_FLAGS
    parameters: dict[str, Any] = {
        libvirt.VIR_MIGRATE_PARAM_DEST_XML: adapted(domain.XMLDesc(_PORTABLE), landing.definition),
        libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: adapted(
            domain.XMLDesc(_PORTABLE | libvirt.VIR_DOMAIN_XML_INACTIVE), landing.definition)}
    if landing.copied:
        flags |= libvirt.VIR_MIGRATE_NON_SHARED_INC if landing.on_base else libvirt.VIR_MIGRATE_NON_SHARED_DISK
        parameters[libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS] = list(landing.copied)
    if _past_the_page_cache(landing.definition):
        # libvirt knows shared file systems by their kind alone; the agents have found the same files on both sides.
        flags |= libvirt.VIR_MIGRATE_UNSAFE
    post_copy = manner.post_copy and not landing.paused  # it is a guest that runs at its target
    for wanted, flag in ((manner.tls, libvirt.VIR_MIGRATE_TLS), (post_copy, libvirt.VIR_MIGRATE_POSTCOPY),
                         (manner.auto_converge, libvirt.VIR_MIGRATE_AUTO_CONVERGE),
                         (landing.paused, libvirt.VIR_MIGRATE_PAUSED)):
        flags |= flag if wanted else 0
    if manner.bandwidth_mib:
        parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = manner.bandwidth_mib
    domain.migrateSetMaxDowntime(manner.downtime_ms, 0)
    domain.migrateToURI3(landing.uri, parameters, flags)


@contextlib.contextmanager
def _connection(uri: str) -> Iterator[libvirt.virConnect]:
    conn = libvirt.open(uri)
    try:
        yield conn
    finally:
        with contextlib.suppress(libvirt.libvirtError):  # the daemon is gone
            conn.close()


def _own_disks(tree: Any) -> list[Any]:
    """Return the disks that are no volumes and can be written."""
    return [disk for disk in tree.findall("devices/disk")
            if disk.find("serial") is None and disk.find("readonly") is None]


def _past_the_page_cache(definition: str) -> bool:
    disks = etree.fromstring(definition).findall("devices/disk")
    return all(disk.find("driver").get("cache") in ("none", "directsync") for disk in disks
               if disk.find("readonly") is None)


def _key(disk: Any) -> str:
    return str(disk.find("target").get("dev"))


def _replace(parent: Any, name: str, wanted: Any) -> None:
    present = parent.find(name)
    if present is not None and wanted is not None:
        parent.replace(present, etree.fromstring(etree.tostring(wanted)))


def _host_cpu(conn: libvirt.virConnect, virt_type: str) -> str:
    capabilities = etree.fromstring(conn.getDomainCapabilities(None, None, None, virt_type))
    model = capabilities.find("cpu/mode[@name='host-model']")
    cpu = etree.Element("cpu")
    for element in model if model is not None else ():
        cpu.append(element)
    return etree.tostring(cpu, encoding="unicode")
