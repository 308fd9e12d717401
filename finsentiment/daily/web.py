"""Requests to other people's servers: spaced out, repeated with patience, conditional, and refused in one line."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two parts of an answer
RETRIES = 4
GIVE_UP = 5  # companies in a row that can't be had, after which a source is not asked about the others
PATIENCE = 60.0  # seconds of one pause, at most
AGAIN = (429, 500, 502, 503, 504)


class Unavailable(Exception):
    """A source can't be had now. The message says what it answered, in half a line."""


class Patient(Retry):
    """Retries after a pause that doubles and varies, the first too, or that the server asks for (`Retry-After`)."""

    def get_backoff_time(self) -> float:
        """Seconds before the next try."""
        return min(PATIENCE, self.backoff_factor * 2 ** len(self.history) * (1 + random.random()))

    def parse_retry_after(self, retry_after: str) -> float:
        """Seconds that the server asks for, as far as there is patience."""
        return min(PATIENCE, super().parse_retry_after(retry_after))


class Spaced(HTTPAdapter):
    """An adapter that leaves at least `pause` seconds between two requests.

    What fails on the way, and the statuses `AGAIN`, are tried up to `RETRIES` times more.
    """

    def __init__(self, pause: float, backoff: float = 1.0) -> None:
        retry = Patient(
            total=RETRIES,
            backoff_factor=max(backoff, pause),
            status_forcelist=AGAIN,
            allowed_methods=("GET", "POST"),
            raise_on_status=False,
        )
        super().__init__(max_retries=retry)
        self.pause, self.last = pause, 0.0

    def send(self, *arguments: Any, **named: Any) -> requests.Response:
        """Send a request once the pause is over."""
        time.sleep(max(0.0, self.last + self.pause - time.monotonic()))
        self.last = time.monotonic()
        return super().send(*arguments, **named)


def new_session(pause: float, headers: Mapping[str, str] | None = None) -> requests.Session:
    """A session that is polite: `pause` in seconds."""
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, Spaced(pause))
    session.headers.update(headers or {})
    return session


def fetch(session: requests.Session, url: str, cursor: Mapping[str, Any]) -> tuple[bytes | None, dict[str, str]]:
    """The content of `url`, None if it is as it was, and what to send the next time to learn that.

    Parameters
    ----------
    cursor : what the last answer gave: `ETag` and `Last-Modified`, as far as it had them

    Raises
    ------
    Unavailable
        The server refuses, fails, breaks off, or does not answer in time.
    """
    asked = {"If-None-Match": cursor.get("ETag"), "If-Modified-Since": cursor.get("Last-Modified")}
    try:
        answer = session.get(url, headers={name: value for name, value in asked.items() if value}, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise Unavailable(in_words(error)) from None
    if answer.status_code == 304:
        return None, dict(cursor)
    if not answer.ok:
        raise Unavailable(status_in_words(answer.status_code))
    return answer.content, {name: answer.headers[name] for name in ("ETag", "Last-Modified") if name in answer.headers}


def in_words(error: Exception) -> str:
    """What went wrong on the way, in half a line."""
    known = {
        requests.Timeout: "no answer in time",
        requests.exceptions.ChunkedEncodingError: "the answer broke off",
        requests.exceptions.RetryError: "too many requests or a failing server, after every retry",
        requests.TooManyRedirects: "redirected without end",
        requests.ConnectionError: "no connection, or it broke off",
    }
    return next((words for kind, words in known.items() if isinstance(error, kind)), f"{type(error).__name__}: {error}")


def status_in_words(status: int) -> str:
    """What a status means for whoever asked."""
    known = {
        401: "it wants a login",
        403: "it refuses this client",
        404: "not found",
        429: f"too many requests, after {RETRIES} retries; try later or less often",
    }
    return f"status {status}" + (
        f", {known[status]}" if status in known else ", the server fails" if status >= 500 else ""
    )
