"""What the fake driver keeps of a guest."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class FakeDomain:
    """One guest: its state, its owner, and what it was defined from."""

    state: str
    host: str
    name: str
    starts: int = 0
    deaf: bool = False  # ignores the power button
    nics: list[str] = dataclasses.field(default_factory=list)
    disks: list[str] = dataclasses.field(default_factory=list)
    volumes: list[str] = dataclasses.field(default_factory=list)
    agent: bool = True  # an agent answers in the guest
    nmis: int = 0
    base: str = ""  # checksum of its image
    drive: bool = False  # it has a CD-ROM drive, and
    iso: str = ""  # what is in it
    sent_to: str = ""  # the agent that may take it over
