"""Recorded answers of servers, given on loopback at the transport: requests, retries and redirects are the real ones.

The answers have the shapes that the servers' own have; what they say is made up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import requests

from finsentiment.daily.web import Spaced


@dataclass
class Recorded:
    """One answer.

    cut : of the body only so many bytes come, then the connection closes
    wait : seconds before the answer
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    wait: float = 0.0


class Replay:
    """Answers by host and path. Of several the next is given each time, the last for ever."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[str, list[Recorded]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    def put(self, where: str, *answers: Recorded) -> None:
        """What `host/path` answers."""
        self.answers[where] = list(answers)

    def take(self, where: str) -> Recorded:
        """The next answer."""
        waiting = self.answers.get(where, [Recorded(b"not found", 404)])
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def session(self) -> requests.Session:
        """A session whose requests all go to the loopback server, with the retries of a real one."""
        session = requests.Session()
        for scheme in ("https://", "http://"):
            session.mount(scheme, _Rerouted(self.port))
        return session


class _Rerouted(Spaced):
    def __init__(self, port: int) -> None:
        super().__init__(pause=0.0, backoff=0.01)
        self.port = port

    def send(self, request: requests.PreparedRequest, *arguments: Any, **named: Any) -> requests.Response:
        parts, copy = urlsplit(str(request.url)), request.copy()
        query = f"?{parts.query}" if parts.query else ""
        copy.url = f"http://127.0.0.1:{self.port}/{parts.netloc}{parts.path}{query}"
        answer = super().send(copy, *arguments, **named)
        answer.url, answer.request = str(request.url), request
        return answer


@contextmanager
def replayed() -> Iterator[Replay]:
    """A server that gives recorded answers until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            where = urlsplit(self.path).path.lstrip("/")
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            replay.asked.append((where, dict(self.headers)))
            found = replay.take(where)
            time.sleep(found.wait)
            tag = found.headers.get("ETag")
            if tag and self.headers.get("If-None-Match") == tag:
                found = Recorded(status=304)
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            self.wfile.write(found.body[: found.cut])
            self.close_connection = True

        do_GET = do_POST = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    replay = Replay(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield replay
    finally:
        server.shutdown()
        server.server_close()
