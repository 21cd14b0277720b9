"""DHCP options of single ports: which there are, and which values they take.

They become lines of the DHCP server's configuration, and one wrong line keeps that server, which others depend on, from
starting. So an option is known here, with the kind of its values, or it is a number: then its value is sent byte by
byte, whatever it says. What the protocol itself needs (leases, the client's identity) cannot be set.

>>> render({"opt_name": "67", "opt_value": "boot.ipxe", "ip_version": 4})
'option:bootfile-name,boot.ipxe'
>>> render({"opt_name": "224", "opt_value": "abc", "ip_version": 4})
'224,61:62:63'
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hostler import errors

MOST: Final = 32
_TEXT = re.compile(r"[A-Za-z0-9._:/@%+=~?&;()\[\]*^!$-]([A-Za-z0-9 ._:/@%+=~?&;()\[\]*^!$-]{0,253}"
                   r"[A-Za-z0-9._:/@%+=~?&;()\[\]*^!$-])?")
_DOMAIN = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*", re.IGNORECASE)
_PRINTABLE = re.compile(r"[ -~]{1,255}")
_NUMBER = re.compile(r"[0-9]{1,10}")
# By number: those of dnsmasq's names whose values are of the kind.
_ADDRESSES_V4 = {
    1: "netmask", 3: "router", 6: "dns-server", 7: "log-server", 9: "lpr-server", 16: "swap-server",
    32: "router-solicitation", 41: "nis-server", 42: "ntp-server", 44: "netbios-ns", 45: "netbios-dd",
    48: "x-windows-fs", 49: "x-windows-dm", 65: "nis+-server", 68: "mobile-ip-home", 69: "smtp-server",
    70: "pop3-server", 71: "nntp-server", 74: "irc-server", 150: "tftp-server-address", 255: "server-ip-address"}
_NUMBERS_V4 = {
    2: ("time-offset", 4), 13: ("boot-file-size", 2), 22: ("max-datagram-reassembly", 2), 23: ("default-ttl", 1),
    26: ("mtu", 2), 35: ("arp-timeout", 4), 37: ("tcp-ttl", 1), 38: ("tcp-keepalive", 4),
    46: ("netbios-nodetype", 1), 58: ("T1", 4), 59: ("T2", 4), 108: ("ipv6-only", 4)}
_FLAGS_V4 = {19: "ip-forward-enable", 20: "non-local-source-routing", 27: "all-subnets-local", 31: "router-discovery",
             34: "trailer-encapsulation", 36: "ethernet-encap"}
_TEXTS_V4 = {15: "domain-name", 17: "root-path", 18: "extension-path", 40: "nis-domain", 47: "netbios-scope",
             60: "vendor-class", 64: "nis+-domain", 66: "tftp-server", 67: "bootfile-name", 100: "posix-timezone",
             101: "tzdb-timezone"}
_ADDRESSES_V6 = {22: "sip-server", 23: "dns-server", 27: "nis-server", 28: "nis+-server", 31: "sntp-server",
                 56: "ntp-server"}
_DOMAINS_V6 = {21: "sip-server-domain", 24: "domain-search", 29: "nis-domain", 30: "nis+-domain"}
_TEXTS_V6 = {41: "posix-timezone", 42: "tzdb-timezone", 59: "bootfile-url"}
# Lease times, message types, identities, relays: the servers' own business.
_RESERVED = {4: {0, *range(50, 58), 61, 77, 80, 81, 82, 90, 93, 94, 97, 118, 120, 125}, 6: {*range(20), 25, 26}}
_HIGHEST = {4: 254, 6: 65535}
_MAY_BE_BLANK = {(4, "router"), (4, "classless-static-route")}


@dataclasses.dataclass(frozen=True)
class Known:
    """An option by its name; `size` is a number's, in bytes."""

    name: str
    kind: str
    size: int = 0


def _known(version: int) -> dict[int, Known]:
    if version == 6:
        return {**{number: Known(name, "addresses") for number, name in _ADDRESSES_V6.items()},
                **{number: Known(name, "domains") for number, name in _DOMAINS_V6.items()},
                **{number: Known(name, "text") for number, name in _TEXTS_V6.items()},
                32: Known("information-refresh-time", "number", 4)}
    return {**{number: Known(name, "addresses") for number, name in _ADDRESSES_V4.items()},
            **{number: Known(name, "number", size) for number, (name, size) in _NUMBERS_V4.items()},
            **{number: Known(name, "flag") for number, name in _FLAGS_V4.items()},
            **{number: Known(name, "text") for number, name in _TEXTS_V4.items()},
            119: Known("domain-search", "domains"), 121: Known("classless-static-route", "routes"),
            21: Known("policy-filter", "pairs"), 33: Known("static-route", "pairs")}


KNOWN: Final[Mapping[int, Mapping[int, Known]]] = {version: _known(version) for version in (4, 6)}
_BY_NAME = {version: {one.name: one for one in known.values()} for version, known in KNOWN.items()}


def changed(present: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a port's options after a request: a value replaces or adds an option, null removes it.

    Raises InvalidField for an option or a value that cannot be, a repeated one, and too many.
    """
    options = {_key(option): dict(option) for option in present}
    named = [_key(option) for option in given]
    for option, key in zip(given, named, strict=True):
        if named.count(key) > 1:
            raise _wrong(option, f"Option {key[1]} is there twice.")
        if option.get("opt_value") is None:
            _line(option, check_value=False)
            options.pop(key, None)
        else:
            _line(option)
            options[key] = {"opt_name": str(option["opt_name"]), "opt_value": str(option["opt_value"]),
                            "ip_version": key[0]}
    if len(options) > MOST:
        raise errors.InvalidField(field="extra_dhcp_opts", value=str(len(options)), reason=f"At most {MOST} fit.")
    return list(options.values())


def render(option: Mapping[str, Any]) -> str:
    """Return the option as dnsmasq reads it; raises InvalidField for one that it must not get."""
    return _line(option)


def _key(option: Mapping[str, Any]) -> tuple[int, str]:
    return int(option.get("ip_version") or 4), str(option["opt_name"])


def _line(option: Mapping[str, Any], *, check_value: bool = True) -> str:
    version, name = _key(option)
    word = "option" if version == 4 else "option6"
    known = _BY_NAME[version].get(name)
    if known is None:
        number = int(name) if _NUMBER.fullmatch(name) else -1
        known = KNOWN[version].get(number)
        if known is None and (not 0 < number <= _HIGHEST[version] or number in _RESERVED[version]):
            raise _wrong(option, f"There is no DHCP option {name} of IPv{version} that a port may have.")
    if not check_value:
        return ""
    value = str(option["opt_value"])
    if known is None:
        return f"{'' if version == 4 else 'option6:'}{int(name)},{_bytes(option, value)}"
    if value == "" and (version, known.name) in _MAY_BE_BLANK:
        return f"{word}:{known.name}"
    try:
        return f"{word}:{known.name},{_value(known, value, version)}"
    except ValueError as failure:
        raise _wrong(option, f"'{value}' is not a value of DHCP option {name}: {failure}.") from None


def _value(known: Known, value: str, version: int) -> str:
    items = [item.strip() for item in value.split(",")]
    if known.kind == "addresses":
        return ",".join(_address(item, version) for item in items)
    if known.kind == "pairs":
        if len(items) % 2:
            raise ValueError("it wants pairs of addresses")
        return ",".join(_address(item, 4) for item in items)
    if known.kind == "routes":
        if len(items) % 2:
            raise ValueError("it wants destinations and next hops, alternately")
        return ",".join(str(ipaddress.IPv4Network(item)) if number % 2 == 0 else _address(item, 4)
                        for number, item in enumerate(items))
    if known.kind == "domains":
        if not all(len(item) <= 253 and _DOMAIN.fullmatch(item) for item in items):
            raise ValueError("it wants domain names")
        return ",".join(items)
    if known.kind == "number":
        if not _NUMBER.fullmatch(value) or int(value) >= 256 ** known.size:
            raise ValueError(f"it wants a number below {256 ** known.size}")
        return str(int(value))
    if known.kind == "flag":
        if value not in ("0", "1"):
            raise ValueError("it wants 0 or 1")
        return value
    if not _TEXT.fullmatch(value):
        raise ValueError("it wants text of letters, digits and ._:/@%+=~?&;()[]*^!$-, with spaces within")
    return value


def _address(text: str, version: int) -> str:
    address = ipaddress.IPv4Address(text) if version == 4 else ipaddress.IPv6Address(text)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.scope_id is not None:
        raise ValueError("an address with a zone is of one host only")
    return f"[{address}]"


def _bytes(option: Mapping[str, Any], value: str) -> str:
    if not _PRINTABLE.fullmatch(value):
        raise _wrong(option, f"The value of DHCP option {option['opt_name']} is not printable ASCII.")
    octets = value.encode()
    # dnsmasq takes a single pair of digits for a decimal number.
    return octets.hex(":") if len(octets) > 1 else f"{octets[0]}b"


def _wrong(option: Mapping[str, Any], reason: str) -> errors.InvalidField:
    return errors.InvalidField(f"Invalid input for extra_dhcp_opts. Reason: {reason}", field="extra_dhcp_opts",
                               value=str(option.get("opt_name")), reason=reason)
