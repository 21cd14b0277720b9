"""A port that was switched off went on being shown ACTIVE."""

from __future__ import annotations

from tests.harness.client import Client


def test_a_disabled_port_is_down(client: Client, image: str) -> None:
    server_id = client.create_server(image, "disabled")
    client.wait_server(server_id, "ACTIVE")
    ports = "/network/v2.0/ports"
    port = client.get(f"{ports}?device_id={server_id}").json()["ports"][0]
    assert port["status"] == "ACTIVE" and port["admin_state_up"] is True
    try:
        for enabled, status in ((False, "DOWN"), (True, "ACTIVE")):
            shown = client.request("PUT", f"{ports}/{port['id']}", json={"port": {"admin_state_up": enabled}})
            assert shown.json()["port"]["status"] == status
            assert client.get(f"{ports}/{port['id']}").json()["port"]["status"] == status
            listed = {word: [item["id"] for item in client.get(
                f"{ports}?device_id={server_id}&status={word}").json()["ports"]] for word in ("ACTIVE", "DOWN")}
            assert listed == {"ACTIVE": [port["id"]] * enabled, "DOWN": [port["id"]] * (not enabled)}
            interfaces = client.get(f"/compute/v2.1/servers/{server_id}/os-interface").json()["interfaceAttachments"]
            assert [item["port_state"] for item in interfaces] == [status]
    finally:
        client.delete(f"/compute/v2.1/servers/{server_id}")
        client.wait_gone(server_id)
