"""A header of 150 MiB, or one chunk of 300 MiB, was taken into memory before anything looked at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.harness import raw_http
from tests.harness.inprocess import Cloud

MIB = 1048576
PATIENCE = 16 * MIB  # what the sockets' buffers hold besides what the server reads


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cloud's control services."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=0, nodes=0)
    cloud.start()
    try:
        yield cloud.url
    finally:
        cloud.stop()


@pytest.mark.parametrize(("start", "block", "answers"), [
    (b"GET /identity/v3 HTTP/1.1\r\nHost: cloud\r\nX-Large: ", b"x" * 65536, {431, None}),
    (b"GET /identity/v3 HTTP/1.1\r\nHost: cloud\r\n", b"X-Many: x\r\n" * 6000, {431, None}),
    (b"GET /identity/v3?", b"x" * 65536, {431, None}),
    (b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: cloud\r\nTransfer-Encoding: chunked\r\n\r\n12c00000\r\n",
     b" " * 65536, {413, None}),
    (b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: cloud\r\nContent-Length: 314572800\r\n\r\n",
     b" " * 65536, {413, None}),
    (b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: cloud\r\nTransfer-Encoding: chunked\r\n\r\n5;name=",
     b"x" * 65536, {400, 431, None}),
    (b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: cloud\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: ",
     b"x" * 65536, {400, 401, 431, None}),
    (b"PUT /image/v2/images/x/file HTTP/1.1\r\nHost: cloud\r\nContent-Type: application/octet-stream\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n12c00000\r\n", b" " * 65536, {401, None}),
], ids=["header", "headers", "line", "chunk", "length", "chunk extension", "trailer", "image without a token"])
def test_a_request_without_end_is_refused_early(url: str, start: bytes, block: bytes, answers: set[int | None]) -> None:
    """Given the start of a huge request, when its client goes on sending, then it is answered before the end."""
    with raw_http.connect(url) as client:
        client.sendall(start)
        assert raw_http.pour(client, block, 64 * MIB) < PATIENCE
        assert raw_http.status(client) in answers
    assert requests.get(f"{url}/identity/v3", timeout=5).status_code == 200


def test_a_normal_request_may_be_large(url: str) -> None:
    """Given a long token and a body of almost the limit, when they are sent, then they reach the application."""
    body = b'{"auth": "' + b"x" * (MIB - 100) + b'"}'
    answer = requests.post(f"{url}/identity/v3/auth/tokens", data=body, headers={"X-Padding": "x" * 20000}, timeout=30)
    assert answer.status_code == 400
