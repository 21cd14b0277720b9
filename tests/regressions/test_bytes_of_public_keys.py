"""Imported public keys lost their last newline: Ansible failed on its second run, Terraform made the pair again."""

from __future__ import annotations

import pytest

from tests.harness.client import Client

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4 me@home"
PATH = "/compute/v2.1/os-keypairs"


@pytest.mark.parametrize("sent", [KEY + "\n", KEY + "\r\n", f"  {KEY}\n\n", KEY], ids=range(4))
def test_what_is_sent_is_returned(client: Client, sent: str) -> None:
    made = client.post(PATH, {"keypair": {"name": "k", "public_key": sent}})
    assert made.status_code == 201, made.text
    assert made.json()["keypair"]["public_key"] == sent
    assert client.get(f"{PATH}/k").json()["keypair"]["public_key"] == sent
    (listed,) = (row["keypair"] for row in client.get(PATH).json()["keypairs"])
    assert listed["public_key"] == sent
    assert len(listed["fingerprint"]) == 47  # of the key, whatever surrounds it
    client.delete(f"{PATH}/k")


def test_two_keys_are_no_key(client: Client) -> None:
    assert client.post(PATH, {"keypair": {"name": "k", "public_key": f"{KEY}\n{KEY}\n"}}).status_code == 400
