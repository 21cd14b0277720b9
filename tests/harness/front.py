"""The product's HTTP server before a small application of the test."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from api.front.server import HttpServer
from hostler import conf as hostler_conf

Answer = Callable[[dict[str, Any]], tuple[str, Iterable[bytes]]]  # of an environ: status line and body


@contextlib.contextmanager
def serving(answer: Answer, **options: Any) -> Iterator[str]:
    """Serve with `[api]` options; yields the URL."""
    conf = hostler_conf.load([], config_files=[], overrides={
        "api.bind_host": "127.0.0.1", "api.bind_port": 0, **{f"api.{name}": value for name, value in options.items()}})

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, body = answer(environ)
        start_response(status, [("Content-Type", "text/plain")])
        return body

    server = HttpServer(conf, app)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()
        thread.join(30)


def echo(environ: dict[str, Any]) -> tuple[str, list[bytes]]:
    """Answer with the number of bytes of the body."""
    return "200 OK", [str(len(environ["wsgi.input"].read())).encode()]
