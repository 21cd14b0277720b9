"""The body of POST /servers, in every microversion, and its translation for the core."""

from __future__ import annotations

import base64
import binascii
import secrets
import string
from collections.abc import Mapping
from typing import Any, Final

from api.core.server.create import NewServers
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import ALWAYS, Span, Version, since, until
from api.openstack.compute.schema import Body, Property, members
from api.openstack.compute.server import block_device_body
from hostler import errors, ids
from hostler.resources.network.ports import NetworkRequest, Requests

_PASSWORD_LENGTH = 12
_PASSWORD_ALPHABET = string.ascii_letters + string.digits


def _items(rows: tuple[Property, ...], version: Version) -> dict[str, Any]:
    return {"type": "array", "items": members(rows, version)}


_NIC = (Property("uuid", {"type": "string"}, until(36)), Property("uuid", schema.UUID, since(37)),
        Property("port", {**schema.UUID, "type": ["string", "null"]}), Property("fixed_ip", schema.ADDRESS),
        Property("tag", schema.TAG, Span((2, 32), (2, 36))), Property("tag", schema.TAG, since(42)))
# The versions at which one of the rows above begins or ends: a span of networks for each.
_NIC_EDGES: Final = (1, 32, 37, 42)
_HINT_IDS = {"anyOf": [schema.UUID, {"type": "array", "items": schema.UUID}]}
_HINTS = {"type": "object", "properties": {"group": _HINT_IDS, "different_host": _HINT_IDS, "same_host": _HINT_IDS}}


def _between(edges: tuple[int, ...]) -> list[Span]:
    ends = [*((2, edge - 1) for edge in edges[1:]), Span().until]
    return [Span((2, edge), end) for edge, end in zip(edges, ends, strict=True)]


def _networks(span: Span) -> Property:
    listed = _items(_NIC, span.since)
    if span.since < (2, 37):
        return Property("networks", listed, span)
    return Property("networks", {"oneOf": [listed, {"enum": ["none", "auto"]}]}, span, span)


_COUNT = schema.whole_number(1)
_CREATE = Body("server", (
    Property("name", schema.NAME, required=ALWAYS),
    Property("flavorRef", {"type": ["string", "integer"], "minLength": 1}, required=ALWAYS),
    Property("imageRef", {"anyOf": [schema.UUID, {"const": ""}]}),
    Property("adminPass", {"type": "string", "maxLength": 255}), Property("metadata", schema.METADATA),
    *(_networks(span) for span in _between(_NIC_EDGES)),
    *(Property("block_device_mapping_v2", block_device_body.mappings(span.since), span)
      for span in _between(block_device_body.EDGES)),
    Property("block_device_mapping", block_device_body.LEGACY),
    Property("OS-DCF:diskConfig", {"enum": ["AUTO", "MANUAL"]}),
    Property("accessIPv4", {"type": "string", "anyOf": [{"format": "ipv4"}, {"const": ""}]}),
    Property("accessIPv6", {"type": "string", "anyOf": [{"format": "ipv6"}, {"const": ""}]}),
    Property("personality", {"type": "array"}, until(56)),
    Property("availability_zone", schema.NAME), Property("config_drive", schema.BOOLEAN),
    Property("key_name", schema.NAME), Property("min_count", _COUNT), Property("max_count", _COUNT),
    Property("return_reservation_id", schema.BOOLEAN),
    Property("security_groups", {"type": "array", "items": {
        "type": "object", "additionalProperties": False, "properties": {"name": schema.NAME}}}),
    Property("user_data", {"type": "string", "maxLength": 65535}),
    Property("description", schema.DESCRIPTION, since(19)), Property("tags", schema.TAGS, since(52)),
    Property("trusted_image_certificates", {"type": ["array", "null"], "maxItems": 50}, since(63)),
    Property("host", schema.HOST, since(74)), Property("hypervisor_hostname", schema.HOST, since(74)),
    Property("hostname", schema.HOSTNAME, Span((2, 90), (2, 93))), Property("hostname", schema.FQDN, since(94)),
), beside=(Property("os:scheduler_hints", _HINTS), Property("OS-SCH-HNT:scheduler_hints", _HINTS)))


def parse(version: Version, body: Any, idempotency_key: str | None) -> tuple[NewServers, bool]:
    """Return what a body asks for, and whether the reservation id is wanted; raises Invalid, NotImplementedHere."""
    server = _CREATE.check(version, body)
    refuse_unsupported(server)
    minimum = schema.number_in(server, "min_count", 1, 1)
    maximum = schema.number_in(server, "max_count", minimum, 1)
    if minimum > maximum:
        raise errors.Invalid(reason="min_count must be <= max_count")
    return NewServers(
        name=server["name"], flavor_id=str(server["flavorRef"]),
        image_id=_image(server), block_devices=block_device_body.devices(server),
        multiattach_refusal=params.multiattach_refusal(version),
        admin_password=server.get("adminPass") or new_password(), description=server.get("description"),
        hostname=server.get("hostname"), key_name=server.get("key_name"), user_data=user_data_in(server),
        config_drive=schema.truth(server.get("config_drive")),
        auto_disk_config=server.get("OS-DCF:diskConfig") == "AUTO",
        access_ip_v4=schema.canonical_address(server.get("accessIPv4")),
        access_ip_v6=schema.canonical_address(server.get("accessIPv6")), metadata=server.get("metadata", {}),
        tags=server.get("tags", ()), networks=_requests(server.get("networks")),
        security_groups=[group["name"] for group in server.get("security_groups", ()) if "name" in group],
        zone=server.get("availability_zone"), host=server.get("host"),
        hypervisor_hostname=server.get("hypervisor_hostname"),
        hints=body.get("os:scheduler_hints") or body.get("OS-SCH-HNT:scheduler_hints") or {},
        min_count=minimum, max_count=maximum, idempotency_key=idempotency_key,
    ), schema.truth(server.get("return_reservation_id"))


def new_password() -> str:
    """Return a random password."""
    return "".join(secrets.choice(_PASSWORD_ALPHABET) for _ in range(_PASSWORD_LENGTH))


def refuse_unsupported(server: Mapping[str, Any]) -> None:
    """Raise NotImplementedHere for what no server here can have."""
    if server.get("personality"):
        raise errors.NotImplementedHere(feature="File injection (personality)")
    if server.get("trusted_image_certificates"):
        raise errors.NotImplementedHere(feature="Image signature verification (trusted_image_certificates)")


def _image(server: dict[str, Any]) -> str | None:
    """Return the image to boot with its id in our spelling; non-UUIDs match nothing."""
    image_id = server.get("imageRef") or None
    return ids.canonical(image_id) or image_id if image_id is not None else None


def user_data_in(server: Mapping[str, Any]) -> str | None:
    """Return the user data of a body as it is stored; raises InvalidField when it is not base64."""
    text = server.get("user_data")
    if text:
        try:
            base64.b64decode("".join(text.split()), validate=True)
        except (ValueError, binascii.Error):
            raise errors.InvalidField(field="user_data", value=text[:40], reason="It is not base64.") from None
    return text or None


def _requests(networks: Any) -> Requests:
    if not networks:
        return "any"
    if networks in ("auto", "none"):
        return networks  # type: ignore[no-any-return]
    return [_request(network) for network in networks]


def _request(network: dict[str, Any]) -> NetworkRequest:
    port, uuid, address = network.get("port"), network.get("uuid"), network.get("fixed_ip")
    if port is not None:
        if address is not None:
            raise errors.Invalid(reason=f"Specified Fixed IP '{address}' cannot be used with port '{port}': the two "
                                        "cannot be specified together.")
        return NetworkRequest(port_id=ids.canonical(port), tag=network.get("tag"))
    network_id = ids.canonical(uuid or "")
    if network_id is None:
        raise errors.Invalid(reason=f"Bad networks format: network uuid is not in proper format ({uuid})")
    return NetworkRequest(network_id=network_id, fixed_ip=address, tag=network.get("tag"))
