"""The default rules, one module a face; `all_defaults` is what `api.policy.Policy` is built with."""

from __future__ import annotations

from oslo_policy import policy

from api.policies import compute, compute_hosts, identity, image, metadefs, network, volume, volume_rest

MODULES = (identity, compute, compute_hosts, image, metadefs, network, volume, volume_rest)


def all_defaults() -> list[policy.RuleDefault]:
    """Return every face's rules."""
    return [rule for module in MODULES for rule in module.DEFAULTS]
