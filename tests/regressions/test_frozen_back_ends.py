"""Back ends could not be frozen: `freeze` and `thaw` of os-services answered 501."""

from __future__ import annotations

from tests.harness.client import Client

SERVICES = "/volume/v3/os-services"


def _put(client: Client, action: str, status: int = 202, **body: object) -> str:
    answer = client.request("PUT", f"{SERVICES}/{action}", json=body)
    assert answer.status_code == status, answer.text
    return answer.text


def _shown(client: Client, host: str) -> tuple[bool, str, str | None]:
    [row] = client.get(f"{SERVICES}?binary=cinder-volume&host={host}").json()["services"]
    return row["frozen"], row["status"], row["disabled_reason"]


def test_nothing_new_goes_to_what_is_frozen(client: Client) -> None:
    [row] = client.get(f"{SERVICES}?binary=cinder-volume").json()["services"]
    for host in (row["host"], row["host"].partition("@")[0]):
        before = _shown(client, row["host"])
        assert before[0] is False
        assert _put(client, "freeze", host=host) == ""
        assert _shown(client, row["host"]) == (True, "disabled", "frozen")
        assert "frozen" in _put(client, "freeze", 400, host=host)
        made = client.post("/volume/v3/volumes", {"volume": {"size": 1}}).json()["volume"]["id"]
        client.wait_volume(made, "error")
        assert client.delete(f"/volume/v3/volumes/{made}").status_code == 202
        assert _put(client, "thaw", host=host) == ""
        assert _shown(client, row["host"]) == before
        assert "not frozen" in _put(client, "thaw", 400, host=host)


def test_what_is_refused(client: Client) -> None:
    _put(client, "freeze", 400, host="nowhere")
    _put(client, "thaw", 400, host="node1@nothing")
    for wrong in ({}, {"host": ""}, {"host": "node1", "more": 1}, {"host": 1}, {"cluster": "c"}):
        _put(client, "freeze", 400, **wrong)
