"""How a server's `vm_state` changes in the database: only as `states.may_become` allows it."""

from __future__ import annotations

from hostler.db.models import Server
from hostler.resources.server import states
from hostler.resources.transitions import Transitions

SERVER = Transitions("server", Server, Server.vm_state, states.VM_STATES, states.may_become)
move = SERVER.move
