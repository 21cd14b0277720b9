"""Flows as the conductor builds them, without a database or a cloud."""

from __future__ import annotations

import dataclasses
from typing import Any
from unittest import mock

from taskflow.flow import Flow

from conductor.flows.registry import PROCEDURES


def build(kind: str, arguments: dict[str, Any], *, with_volumes: bool = True) -> Flow:
    """Return the flow of `kind`, for a server with or without volumes."""
    procedure = PROCEDURES[kind]
    typed = procedure.kind.arguments(**arguments)
    run = mock.Mock(kind=procedure.kind, reading=mock.MagicMock())
    run.arguments_of = lambda _kind: typed
    run.reading.return_value.__enter__.return_value.scalar.return_value = "an attachment" if with_volumes else None
    return procedure.build(*procedure.shape(run))


def argument_names(kind: str) -> frozenset[str]:
    """Return what the run puts into a flow's store."""
    return frozenset(field.name for field in dataclasses.fields(PROCEDURES[kind].kind.arguments))


def sample(kind: str) -> dict[str, Any]:
    """Return some arguments of `kind`, each required one with a value of its type."""
    values: dict[str, Any] = {"str": "x", "str | None": None, "int": 1, "bool": True, "tuple[str, ...]": ()}
    return {field.name: values[str(field.type)] for field in dataclasses.fields(PROCEDURES[kind].kind.arguments)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING}
