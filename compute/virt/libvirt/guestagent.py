"""Talking to the QEMU guest agent of one domain."""

from __future__ import annotations

import libvirt
from lxml import etree

from compute.virt import driver as virt
from hostler import errors

CHANNEL = "org.qemu.guest_agent.0"


def set_password(domain: libvirt.virDomain, user: str, password: str) -> None:
    """Set a user's password in the guest; raises AgentError where no agent answers."""
    require(domain)
    domain.setUserPassword(user, password)


def require(domain: libvirt.virDomain) -> None:
    """Raise AgentError, saying what is missing, unless an agent is connected in a guest that runs.

    libvirt would find that out, too, but only by waiting for an answer.
    """
    if not domain.isActive():
        raise errors.AgentError(reason=virt.NOT_RUNNING)
    [target] = etree.fromstring(domain.XMLDesc(0)).xpath(
        f"devices/channel/target[@name='{CHANNEL}']") or [None]
    if target is None:
        raise errors.AgentError(reason="The QEMU guest agent is not enabled: the image of the server says "
                                       "hw_qemu_guest_agent=no.")
    if target.get("state") != "connected":
        raise errors.AgentError(reason=virt.NO_AGENT)
