"""hostler-manage pki: certificates for volumes over NBD (`hostler.pki`)."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

from oslo_config import cfg

from hostler import clock, pki

Command = Callable[[cfg.ConfigOpts], None]


def add_commands(add: Callable[[str, Command, str], ArgumentParser]) -> None:
    """Add the commands `pki-init` and `pki-issue`."""
    parser = add("pki-init", _init, "Make a certificate authority for volumes over NBD; may be repeated.")
    parser.add_argument("--dir", required=True, help="the authority's directory; its key never leaves it")
    parser.add_argument("--days", type=_days, default=pki.AUTHORITY_DAYS, help="how long it lasts; default %(default)s")
    parser = add("pki-issue", _issue, "Make one machine's certificates; may be repeated, also to renew them.")
    parser.add_argument("--dir", required=True, help="the authority's directory")
    parser.add_argument("--name", dest="machine", required=True, metavar="NAME",
                        help="the machine's name in the cloud ([DEFAULT] host)")
    parser.add_argument("--address", action="append", default=[],
                        help="an address or name by which the machine is reached; may be given several times")
    parser.add_argument("--out", required=True, help="directory for the machine's files")
    parser.add_argument("--days", type=_days, default=pki.HOST_DAYS, help="how long they last; default %(default)s")


def _init(conf: cfg.ConfigOpts) -> None:
    directory = Path(conf.command.dir)
    made = pki.init_authority(directory, clock.utcnow(), conf.command.days)
    print(f"{'made' if made else 'kept'}: {directory / pki.CA_CERT}, good until "
          f"{pki.read_end(directory / pki.CA_CERT):%F}")
    if made:
        print(f"Keep {directory / pki.CA_KEY} to yourself: anyone who has it passes for every machine.")


def _issue(conf: cfg.ConfigOpts) -> None:
    command = conf.command
    out = Path(command.out)
    made = pki.issue(Path(command.dir), command.machine, command.address, out, clock.utcnow(), command.days)
    print(f"{'made' if made else 'kept'}: certificates of {command.machine} in {out}, good until "
          f"{pki.read_end(out / 'server-cert.pem'):%F}")


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 36500:
        raise ValueError(days)
    return days
