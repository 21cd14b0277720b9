"""The guests of one agent at its libvirtd: found, owned, and acted on without letting libvirt's exceptions out.

What the driver can do with them is in modules by subject (`volumedisks`, `diskcopies`, `host_info`, …); their functions
take a domain; `driver` hands them over.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TypeVar

import libvirt

from compute.virt import driver as virt
from compute.virt.libvirt import domainxml
from compute.virt.libvirt.connection import Connection
from compute.virt.libvirt.events import EventPump
from hostler import errors

Result = TypeVar("Result")
SLOW = 10  # patience for starting and saving, which may take long

_ACTIVE = {libvirt.VIR_DOMAIN_RUNNING: virt.RUNNING, libvirt.VIR_DOMAIN_BLOCKED: virt.RUNNING,
           libvirt.VIR_DOMAIN_SHUTDOWN: virt.RUNNING, libvirt.VIR_DOMAIN_PAUSED: virt.PAUSED,
           libvirt.VIR_DOMAIN_PMSUSPENDED: virt.SUSPENDED, libvirt.VIR_DOMAIN_CRASHED: virt.CRASHED}


class Guests:
    """The guests whose metadata names this agent. Safe for use by many threads."""

    def __init__(self, machine: domainxml.Machine, *, uri: str, call_timeout_s: float) -> None:
        self._machine = machine
        self._pump = EventPump(self._owns)
        self._on_resync: Callable[[], None] = lambda: None
        callbacks: dict[int, Callable[..., None]] = {
            libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE: self._pump.take,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: self._pump.take_removed_device}
        self._connection = Connection(uri, timeout_s=call_timeout_s, callbacks=callbacks, on_open=self._connected)
        self._owners: dict[str, str] = {}  # uuid -> owning agent, as the domain's metadata says
        self._lock = threading.Lock()

    def _list(self, conn: libvirt.virConnect) -> dict[str, str]:
        found = {}
        for domain in conn.listAllDomains():
            if domain.name().startswith(domainxml.NAME_PREFIX) and self._owner(domain) == self._machine.host:
                state = while_defined(functools.partial(power_state, domain), None)
                if state is not None:
                    found[domain.UUIDString()] = state
        with self._lock:
            if len(self._owners) > 2 * len(found) + 1000:  # guests long gone
                self._owners = dict.fromkeys(found, self._machine.host)
        return found

    def _on_guest(self, server_id: str, act: Callable[[libvirt.virDomain], Result], otherwise: Result, *,
                  patience: int = 1) -> Result:
        """Do `act` on our guest; `otherwise` when there is none or it vanishes."""
        def run(conn: libvirt.virConnect) -> Result:
            domain = self._lookup(conn, server_id)
            return otherwise if domain is None else while_defined(lambda: act(domain), otherwise)

        return self._connection.call(run, patience=patience)

    def _on_defined(self, server_id: str, verb: str, act: Callable[[libvirt.virDomain], None], *,
                    patience: int = 1) -> None:
        def run(domain: libvirt.virDomain) -> bool:
            act(domain)
            return True

        if not self._on_guest(server_id, run, False, patience=patience):
            raise errors.AgentError(reason=f"Cannot {verb} a server whose power state is {virt.NOSTATE}.")

    def _lookup(self, conn: libvirt.virConnect, server_id: str) -> libvirt.virDomain | None:
        domain = while_defined(lambda: conn.lookupByUUIDString(server_id), None)
        if domain is None:
            return None
        owner = self._owner(domain)
        if owner != self._machine.host:
            raise errors.AgentError(reason="The guest belongs to another agent of this hypervisor.")
        return domain

    def _owner(self, domain: libvirt.virDomain) -> str:
        """Return the agent the domain names, '' when it names none."""
        uuid = domain.UUIDString()
        with self._lock:
            known = self._owners.get(uuid)
        if known is None:
            try:
                text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, domainxml.METADATA_URI)
                known = domainxml.read_owner(text)[1]
            except libvirt.libvirtError as error:
                if error.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_DOMAIN_METADATA):
                    raise
                return ""
            with self._lock:
                self._owners[uuid] = known
        return known

    def _owns(self, server_id: str) -> bool:
        """Tell whether a guest is ours; one that was undefined still is, for its last event."""
        with self._lock:
            known = self._owners.get(server_id)
        if known is None:
            known = self._connection.call(lambda conn: self._owner_of(conn, server_id))
        return known == self._machine.host

    def _owner_of(self, conn: libvirt.virConnect, server_id: str) -> str:
        domain = while_defined(lambda: conn.lookupByUUIDString(server_id), None)
        return "" if domain is None else self._owner(domain)

    def _connected(self) -> None:
        with self._lock:
            self._owners.clear()
        self._on_resync()


def power_state(domain: libvirt.virDomain) -> str:
    """Return the power state of a guest."""
    state, reason = domain.state()
    if state != libvirt.VIR_DOMAIN_SHUTOFF:
        return _ACTIVE.get(state, virt.NOSTATE)
    if domain.hasManagedSaveImage():
        return virt.SUSPENDED
    return virt.CRASHED if reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED else virt.SHUTDOWN


def kill(domain: libvirt.virDomain) -> None:
    """Pull the plug; fine when the guest is off."""
    if domain.isActive():
        tolerating_off(domain.destroy)


def tolerating_off(act: Callable[[], object]) -> None:
    """Do `act`; fine when the guest goes off at that moment."""
    try:
        act()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
            raise


def while_defined(act: Callable[[], Result], otherwise: Result) -> Result:
    """Return `act()`, or `otherwise` when the domain is not (any more) defined."""
    try:
        return act()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return otherwise
