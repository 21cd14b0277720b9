"""Regular expressions from users: a safe subset with the same meaning and bounded time on every database.

The naive way hands the pattern to the database. MariaDB and SQLite backtrack, so `(a|a)*b` keeps a connection busy for
years, and PostgreSQL's syntax differs. Instead the pattern is parsed here. What LIKE can express becomes LIKE; the rest
is rewritten for the database's engine after refusing what makes matching exponential: repeats inside repeats, and more
than a few repeats, options and alternatives. The cost is that some valid patterns are answered with 400.
The subset is `^ $ . * + ? {n,m} | ( )`, classes like `[a-z0-9]`, `\\d \\w \\s`, and `\\` before a special character.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa

from hostler import errors

MAX_LENGTH: Final = 255
MAX_LIKES: Final = 16  # conditions that one pattern may become
MAX_LOOPS: Final = 2  # each multiplies the steps by the length of the text
MAX_CHOICES: Final = 32
_SPECIAL: Final = frozenset("*+?[](){}|^$\\.")
_CLASSES: Final = {"d": "[0-9]", "w": "[A-Za-z0-9_]", "s": "[ \\t]"}
_COUNT: Final = re.compile(r"\{(\d{1,3})(?:(,)(\d{0,3}))?\}")
_CLASS: Final = re.compile(r"\[\^?(?:\\[^A-Za-z0-9]|\\[dws]|[^\\\[\]])+\]")


@dataclasses.dataclass(frozen=True)
class Atom:
    """One character, `.` (`any`), a class (`text` is its expression) or a group, and how often: up to `most`."""

    text: str = ""
    any: bool = False
    is_class: bool = False
    group: tuple[tuple[Atom, ...], ...] | None = None
    least: int = 1
    most: int | None = 1


@dataclasses.dataclass(frozen=True)
class Branch:
    """One top-level alternative and where it is anchored."""

    atoms: tuple[Atom, ...]
    at_start: bool
    at_end: bool


def matching(column: Any, name: str, pattern: str) -> sa.ColumnElement[bool]:
    """Return the condition that `pattern` is found in a column; raises InvalidField for what is outside the subset."""
    if "\x00" in pattern:
        return sa.false()
    branches = _Parser(name, pattern).parse()
    likes = like_patterns(branches)
    if likes is not None:
        return sa.or_(*(column.like(like, escape="!") for like in likes))
    found: sa.ColumnElement[bool] = column.regexp_match(_rewritten(name, pattern, branches))
    return found


def like_patterns(branches: Sequence[Branch]) -> list[str] | None:
    """Return the LIKE patterns (escape `!`) of which one must match, or None when LIKE cannot express the pattern."""
    found: list[str] = []
    for branch in branches:
        for text in itertools.islice(_spelt(branch.atoms), MAX_LIKES + 1):
            if text is None:
                return None
            found.append(f"{'' if branch.at_start else '%'}{text}{'' if branch.at_end else '%'}")
        if len(found) > MAX_LIKES:
            return None
    return found


def _spelt(atoms: Sequence[Atom]) -> Iterator[str | None]:
    """Yield a sequence's alternatives with LIKE's wildcards; None for one that LIKE cannot express."""
    if not atoms:
        yield ""
        return
    for head in _spelt_atom(atoms[0]):
        if head is None:
            yield None
            return
        for tail in _spelt(atoms[1:]):
            yield None if tail is None else head + tail


def _spelt_atom(atom: Atom) -> Iterator[str | None]:
    if atom.any and atom.most is None:
        yield "_" * atom.least + "%"
    elif atom.is_class or atom.most is None:
        yield None
    else:
        for count in range(atom.least, atom.most + 1):
            if atom.group is None:
                yield ("_" if atom.any else "!" + atom.text if atom.text in "!%_" else atom.text) * count
            else:
                yield from _spelt_times(atom.group, count)


def _spelt_times(group: Sequence[tuple[Atom, ...]], count: int) -> Iterator[str | None]:
    for branches in itertools.product(group, repeat=count):
        yield from _spelt(tuple(itertools.chain.from_iterable(branches)))


def _rewritten(name: str, pattern: str, branches: Sequence[Branch]) -> str:
    loops, choices = 0, len(branches)
    for atom in _all_atoms(branch.atoms for branch in branches):
        repeats = atom.most is None or atom.most > 1
        if repeats and atom.most != atom.least:
            loops += 1
        if repeats and atom.group is not None and (len(atom.group) > 1 or any(
                inner.group is not None or (inner.least, inner.most) != (1, 1) for inner in atom.group[0])):
            raise refuse(name, pattern, "A repeated group cannot hold alternatives, groups or repeats.")
        choices *= (2 if atom.least == 0 else 1) * (len(atom.group) if atom.group is not None else 1)
    if loops > MAX_LOOPS or choices > MAX_CHOICES:
        raise refuse(name, pattern, f"It may hold {MAX_LOOPS} repeats and {MAX_CHOICES} alternatives.")
    texts = (f"{'^' if one.at_start else ''}{_written(one.atoms)}{'$' if one.at_end else ''}" for one in branches)
    return "(?s)" + "|".join(texts)


def _all_atoms(sequences: Iterator[tuple[Atom, ...]] | Sequence[tuple[Atom, ...]]) -> Iterator[Atom]:
    for atoms in sequences:
        for atom in atoms:
            yield atom
            yield from _all_atoms(atom.group or ())


def _written(atoms: Sequence[Atom]) -> str:
    return "".join(_written_atom(atom) for atom in atoms)


def _written_atom(atom: Atom) -> str:
    if atom.group is not None:
        text = f"({'|'.join(_written(branch) for branch in atom.group)})"
    else:
        text = "." if atom.any else "\\" + atom.text if atom.text in _SPECIAL else atom.text
    count = {(1, 1): "", (0, 1): "?", (0, None): "*", (1, None): "+"}.get((atom.least, atom.most))
    if count is None:
        count = f"{{{atom.least},{'' if atom.most is None else atom.most}}}"
    return text + count


def refuse(name: str, pattern: str, reason: str) -> errors.InvalidField:
    """Return the error for a pattern outside the subset."""
    return errors.InvalidField(field=name, value=pattern[:80], reason=reason)


class _Parser:
    def __init__(self, name: str, pattern: str) -> None:
        self._name, self._text, self._at = name, pattern, 0
        if len(pattern) > MAX_LENGTH:
            raise self._refuse(f"A pattern has at most {MAX_LENGTH} characters.")

    def _refuse(self, reason: str = "The pattern is outside the supported subset of regular expressions.",
                ) -> errors.InvalidField:
        return refuse(self._name, self._text, reason)

    def _take(self, token: str) -> bool:
        if self._text.startswith(token, self._at):
            self._at += len(token)
            return True
        return False

    def parse(self) -> list[Branch]:
        branches = []
        while True:
            start = self._take("^")
            atoms = self._sequence()
            end = self._take("$")
            branches.append(Branch(tuple(atoms), start, end))
            if self._at == len(self._text):
                return branches
            if not self._take("|"):
                raise self._refuse()

    def _sequence(self) -> list[Atom]:
        atoms: list[Atom] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)$":
            atoms.append(self._counted(self._atom()))
        return atoms

    def _atom(self) -> Atom:
        char = self._text[self._at]
        if char == "(":
            return self._group()
        found = _CLASS.match(self._text, self._at)
        if found:
            self._at = found.end()
            inner = re.sub(r"\\([dws])", lambda word: _CLASSES[word[1]][1:-1], found[0])
            try:
                re.compile(inner)
            except re.error:
                raise self._refuse() from None
            return Atom(inner, is_class=True)
        self._at += 1
        if char == ".":
            return Atom(any=True)
        if char == "\\" and self._at < len(self._text):
            char = self._text[self._at]
            self._at += 1
            if char in _CLASSES:
                return Atom(_CLASSES[char], is_class=True)
            if not char.isalnum():
                return Atom(char)
        if char in _SPECIAL or (char.isalnum() and self._text[self._at - 2:self._at - 1] == "\\"):
            raise self._refuse()
        return Atom(char)

    def _group(self) -> Atom:
        self._at += 1
        if self._text.startswith("?", self._at) and not self._take("?:"):
            raise self._refuse()
        branches = [tuple(self._sequence())]
        while self._take("|"):
            branches.append(tuple(self._sequence()))
        if not self._take(")"):
            raise self._refuse()
        return Atom(group=tuple(branches))

    def _counted(self, atom: Atom) -> Atom:
        for token, least, most in (("*", 0, None), ("+", 1, None), ("?", 0, 1)):
            if self._take(token):
                return dataclasses.replace(atom, least=least, most=most)
        found = _COUNT.match(self._text, self._at)
        if found is None:
            return atom
        self._at = found.end()
        least = int(found[1])
        most = least if not found[2] else int(found[3]) if found[3] else None
        if least > MAX_LENGTH or (most is not None and not least <= most <= MAX_LENGTH):
            raise self._refuse()
        return dataclasses.replace(atom, least=least, most=most)
