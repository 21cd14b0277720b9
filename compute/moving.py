"""A server leaves this host, or comes to it, with its disks: resizes and cold migrations.

The source sets a server aside: its guest and its ports go, and its directory becomes `<server id>.old`, where neither a
start nor reconciliation finds it. The target fetches the files into `<server id>.new`, fits them to itself and to the
flavor, and renames the directory once every file is there and has the checksum that the source named. The source's
files are not touched before the move is confirmed (`discard`), so that it can be reverted (`restore`). A resize on one
host goes the same way, with copies.

What the root disk builds on does not travel: the target has it from the image store. When the store has it no more, the
target fetches it from the source's cache into its own.

Every method may be repeated from any point where it broke off.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from compute import bases
from compute.bases import Offer
from compute.layout import Layout
from compute.power import Power
from compute.spawn import Spawner
from compute.specfile import SpecFiles
from compute.toolbox import Toolbox
from compute.transfer import OFFER, keep_offer, sha256_of
from compute.virt import driver as virt
from compute.work import Work, Workbench
from hostler import errors
from hostler.agent.files import write_atomically
from hostler.context import RequestContext
from hostler.resources.server.specs import PortSpec, ServerSpec

LOG = logging.getLogger(__name__)
# Which move a directory came by: one of an earlier stay of the server on this host holds old data.
_ARRIVAL = "arrival"
_STAYS = frozenset({"spec.json", "owner", OFFER, _ARRIVAL})


class Mover:
    """Moves servers between this host and others."""

    def __init__(self, tools: Toolbox, layout: Layout, specs: SpecFiles, bench: Workbench, spawner: Spawner,
                 power: Power) -> None:
        self._tools = tools
        self._layout = layout
        self._specs = specs
        self._bench = bench
        self._spawner = spawner
        self._power = power

    def set_aside(self, server: ServerSpec, to_host: str, timeout_s: int | None, context: RequestContext) -> Offer:
        """Switch the server off, take it out of the host's guests and networks, and offer its files to `to_host`."""
        aside = self._layout.aside(server.id)
        with self._bench.work_on(server.id, context) as work:
            if self._layout.server(server.id).is_dir():
                # One that is there already is of an earlier move whose end this host never heard.
                shutil.rmtree(aside, ignore_errors=True)
                self._step(work, "set_aside.off")
                self._power.switch_off(server.id, work, timeout_s)
                self._step(work, "set_aside.guest")
                self._tools.driver.destroy(server.id)
                self._step(work, "set_aside.ports")
                self._unplug(server.id, server.ports)
                self._step(work, "set_aside.rename")
                (self._layout.server(server.id) / OFFER).unlink(missing_ok=True)  # of a live migration that failed
                self._specs.set_aside(server.id)
            elif not _is_of(aside / OFFER, context, missing_ok=aside.is_dir()):
                raise errors.AgentError(reason="The files of the server are not on its host.")
            self._step(work, "set_aside.offer")
            offer = self._offer(aside, to_host, context)
            work.ended_in(virt.NOSTATE)
        LOG.info("Server %s is set aside and offered to host %s", server.id, to_host)
        return {**self._tools.transfer.place(), "files": offer["files"], "base": offer["base"]}

    def take_in(self, server: ServerSpec, offer: Offer, running: bool, context: RequestContext) -> str:
        """Fetch the server's files, fit them to the flavor of `server`, and start it when `running`; returns its power
        state. Raises AgentError."""
        directory, incoming = self._layout.server(server.id), self._layout.incoming(server.id)
        with self._bench.work_on(server.id, context) as work:
            if not _is_of(directory / _ARRIVAL, context):
                self._step(work, "take_in.files")
                self._specs.remove(server.id)
                self._prepare(incoming, context)
                for file in offer["files"]:
                    self._tools.transfer.fetch(offer, server.id, file, incoming / _name_of(file, offer), work.check)
                self._step(work, "take_in.image")
                base = self._fetch_base(server, offer, work)
                self._step(work, "take_in.disks")
                self._tools.disks.adapt(server, incoming, base)
                self._step(work, "take_in.rename")
                incoming.rename(directory)
            return self._enter(server, running, work)

    def restore(self, server: ServerSpec, running: bool, context: RequestContext) -> str:
        """Put back what was set aside, as it was, and start it when `running`; returns its power state."""
        directory, aside = self._layout.server(server.id), self._layout.aside(server.id)
        with self._bench.work_on(server.id, context) as work:
            if aside.is_dir():
                self._step(work, "restore.rename")
                self._specs.remove(server.id)
                (aside / OFFER).unlink(missing_ok=True)
                aside.rename(directory)
            elif not directory.is_dir():
                raise errors.AgentError(reason="The files of the server are not on its host.")
            return self._enter(server, running, work)

    def discard(self, server_id: str, context: RequestContext | None) -> None:
        """Remove what was set aside; fine when nothing was."""
        with self._bench.work_on(server_id, context) as work:
            self._step(work, "discard")
            self._specs.discard_aside(server_id)

    def _prepare(self, incoming: Path, context: RequestContext) -> None:
        """Make the directory that the files come to; what came by another move goes."""
        if not _is_of(incoming / _ARRIVAL, context):
            shutil.rmtree(incoming, ignore_errors=True)
            self._layout.prepare_passage(incoming)
            write_atomically(incoming / _ARRIVAL, json.dumps({"operation": context.operation_id}).encode())

    def _fetch_base(self, server: ServerSpec, offer: Offer, work: Work) -> Path | None:
        if server.image is not None:
            return self._tools.images.fetch(server.image)
        if offer.get("base") is None:  # an earlier release's agent offers none
            return None
        return bases.adopt(self._tools, offer, server.id, work.check)

    def _enter(self, server: ServerSpec, running: bool, work: Work) -> str:
        self._step(work, "enter")
        server = self._specs.save(server)
        if running:
            return self._spawner.make(server, work)
        work.ended_in(virt.NOSTATE)
        return virt.SHUTDOWN

    def _offer(self, aside: Path, to_host: str, context: RequestContext) -> dict[str, Any]:
        files = [{"name": path.name, "size": path.stat().st_size, "sha256": sha256_of(path)}
                 for path in sorted(aside.iterdir()) if path.is_file() and path.name not in _STAYS]
        return keep_offer(aside, to_host, context, files, bases.base_of(self._layout, aside / "disk"))

    def _unplug(self, server_id: str, ports: Iterable[PortSpec]) -> None:
        for port in {port.id: port for port in (*self._specs.ports_of(server_id), *ports)}.values():
            self._tools.network.unplug(port)

    def _step(self, work: Work, step: str) -> None:
        work.check()
        self._tools.checkpoint(step, work.server_id)


def _name_of(file: dict[str, Any], offer: Offer) -> str:
    """Return the name that an offered file gets. Raises AgentError: what the other host says must not write beside the
    server's directory, nor what this host itself notes in it."""
    name = str(file["name"])
    if "/" in name or "\0" in name or name.startswith(".") or not name or name in _STAYS:
        raise errors.AgentError(reason=f"Host {offer['host']} offers a file that is none of a server's: {name[:80]!r}.")
    return name


def _is_of(path: Path, context: RequestContext, *, missing_ok: bool = False) -> bool:
    """Return whether a note in a directory names the context's operation; `missing_ok` where there is none."""
    try:
        return bool(json.loads(path.read_bytes())["operation"] == context.operation_id)
    except FileNotFoundError:
        return missing_ok
