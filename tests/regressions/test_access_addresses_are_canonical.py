"""The IPv6 address by which a server is to be reached was shown as it was sent; the reference shows RFC 5952's form."""

from __future__ import annotations

from tests.harness.client import Client

SENT, SHOWN = "0000:0000:0000:0000:0000:babe:220.12.22.2", "::babe:dc0c:1602"
AGAIN, SHOWN_AGAIN = "2001:DB8:0:0::1", "2001:db8::1"


def test_addresses_of_a_new_and_a_changed_server(client: Client, image: str) -> None:
    server_id = client.create_server(image, accessIPv4="192.0.2.7", accessIPv6=SENT, networks="none")
    server = client.show(server_id) or {}
    assert (server["accessIPv4"], server["accessIPv6"]) == ("192.0.2.7", SHOWN)
    for asked, shown in (({"accessIPv6": AGAIN}, ("192.0.2.7", SHOWN_AGAIN)),
                         ({"accessIPv4": "", "accessIPv6": ""}, ("", ""))):
        answer = client.request("PUT", f"/compute/v2.1/servers/{server_id}", json={"server": asked}).json()["server"]
        assert (answer["accessIPv4"], answer["accessIPv6"]) == shown
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
