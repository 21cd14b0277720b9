"""What the documents say of operations, written from the code: tables of kinds, pictures of flows and states.

Between `<!-- generated: NAME -->` and `<!-- end -->` stands what `BLOCKS[NAME]` returns. A test keeps both equal;
`python -m tests.harness.documents` writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taskflow.flow import Flow

from conductor.flows.registry import PROCEDURES
from conductor.tasks.base import OperationTask
from hostler.operations.kinds.kind import Kind
from hostler.operations.kinds.registry import KINDS
from hostler.resources.server import states
from tests.harness import flows, published_states

ROOT = Path(__file__).resolve().parents[2]
FILES = ("docs/architecture.md", "docs/flows.md", "docs/api-support.md")
_BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
# Forms of flows that depend on their arguments: name → (kind, arguments).
_FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "server.create with volumes": ("server.create", {"volumes": True}),
    "server.create_image of volumes": ("server.create_image", {"image_id": "x", "snapshot_ids": ("y",)}),
    "server.rebuild of a volume": ("server.rebuild", {"image_id": "x", "attachment_id": "y", "volume_id": "z"}),
    "volume.delete with cascade": ("volume.delete", {"cascade": True}),
}


def render(text: str) -> str:
    """Return a document with its generated blocks as they should be."""
    return _BLOCK.sub(lambda match: f"{match[1]}{BLOCKS[match[2]]()}{match[3]}", text)


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _kinds(*prefixes: str) -> str:
    head = ("kind", "may start in", "shown while it runs", "ends in", "can be cancelled", "patience",
            "in a server's action list")
    return _table(head, (_row(kind) for name, kind in KINDS.items() if name.startswith(prefixes)))


def _row(kind: Kind[Any]) -> tuple[str, ...]:
    starts = ", ".join(kind.starts_in) or "–"
    shows = ", ".join(f"{noun}: {word}" for noun, word in kind.shows.items()) or "–"
    if kind.forceful is not None:
        starts += f"; hard: {', '.join(kind.forceful.starts_in)}"
        shows += f"; hard: {kind.forceful.shows}"
    if kind.waiting is not None:
        shows += f" ({kind.waiting} until it has a host)"
    cancelled = "yes" if kind.cancellable else "no, it cancels others" if kind.cancels else "no"
    return f"`{kind.name}`", starts, shows, kind.ends_in or "–", cancelled, f"× {kind.patience:g}", kind.action or "–"


def _flow_pictures() -> str:
    parts = []
    forms = {**{name: (name, {}) for name in PROCEDURES}, **_FORMS}
    for title, (kind, arguments) in sorted(forms.items()):
        flow = flows.build(kind, {**flows.sample(kind), **({"cascade": False} if kind == "volume.delete" else {}),
                                  **arguments}, with_volumes=title != "server.delete")
        parts.append(f"## {title}\n\n{_picture(flow)}\n{_tasks_table(flow)}\n")
    return "".join(parts)


def _picture(flow: Flow) -> str:
    lines = ["```mermaid", "flowchart LR", *_subgraph(flow, "  "), "```", ""]
    names = [task.name for task in _tasks(flow)]
    lines[-2:-2] = [f"  {' --> '.join(names)}"]
    return "\n".join(lines)


def _subgraph(flow: Flow, indent: str) -> Iterator[str]:
    """Yield the frame of what is tried again, with the tasks in it."""
    if flow.retry is not None:
        inside = "; ".join(task.name for task in _tasks(flow))
        yield f'{indent}subgraph {flow.retry.name}["{flow.retry.name}: tried again up to {flow.retry._attempts} times"]'
        yield f"{indent}  {inside}"
        yield f"{indent}end"
    else:
        for node in flow:
            if isinstance(node, Flow):
                yield from _subgraph(node, indent)


def _tasks(flow: Flow) -> Iterator[OperationTask]:
    for node in flow:
        if isinstance(node, Flow):
            yield from _tasks(node)
        elif isinstance(node, OperationTask):
            yield node


def _tasks_table(flow: Flow) -> str:
    return _table(("task", "what it does", "its revert"), (_task_row(task) for task in _tasks(flow)))


def _task_row(task: OperationTask) -> tuple[str, ...]:
    text = " ".join((type(task).__doc__ or "").split("\n\n")[0].split())
    does, _, undoes = text.partition(" Revert: ")
    if not undoes:
        undoes = " ".join((type(task).__doc__ or "").split()).partition("Revert: ")[2]
    return f"`{task.name}`", does, undoes


def _server_states() -> str:
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"  {old.replace('-', '_')} --> {new.replace('-', '_')}{_verbs(old, new)}"
              for old, new in sorted(states.TRANSITIONS)]
    return "\n".join([*lines, "```", ""])


def _verbs(old: str, new: str) -> str:
    if old == states.BUILDING:
        return f": {KINDS['server.create'].action}"
    verbs = [str(kind.action) for kind in KINDS.values() if kind.resources == ("server",) and kind.ends_in == new
             and (old in kind.starts_in or (kind.forceful is not None and old in kind.forceful.starts_in))]
    return f": {', '.join(verbs)}" if verbs else ""


def _statuses() -> str:
    rows = ((vm_state, states.STATUS[vm_state], ", ".join(sorted(new for old, new in states.TRANSITIONS
                                                                if old == vm_state)) or "–")
            for vm_state in states.VM_STATES)
    return _table(("vm_state", "status", "may become (also `error` and `deleted`)"), rows)


def _server_actions() -> str:
    absent = published_states.NOT_BUILT | published_states.UNAVAILABLE
    rows = ((f"`{name}`", "–" if name in absent else "✓",
             rule.first + (f" to {rule.last}" if rule.last else ""),
             _states_words(rule), "yes" if rule.held and name not in published_states.REFUSED_WHILE_HELD else "no")
            for name, rule in sorted(published_states.ACTIONS.items(), key=lambda item: item[0].lower()))
    return _table(("action", "here", "microversions", "starts in", "while an operation works on the server"), rows)


def _states_words(rule: published_states.Published) -> str:
    if set(rule.states) == set(published_states.EVERY):
        return "every state"
    return "every state on a host" if set(rule.states) == set(published_states.ON_A_HOST) else ", ".join(rule.states)


BLOCKS = {
    "server-actions": _server_actions,
    "server-kinds": lambda: _kinds("server.", "network."),
    "volume-kinds": lambda: _kinds("volume.", "snapshot.", "backup.", "attachment.", "cloud."),
    "flows": _flow_pictures,
    "server-states": _server_states,
    "server-statuses": _statuses,
}


def main() -> None:
    """Write the blocks of all documents."""
    for name in FILES:
        path = ROOT / name
        path.write_text(render(path.read_text()))


if __name__ == "__main__":
    main()
