"""What a server refuses, with the HTTP status that says why."""

from __future__ import annotations

from runtime.errors import InputError, StyleganEdgeError

CLIENT_CLOSED = 499
"""What proxies log where the client has left: nobody reads the answer."""


class RequestError(StyleganEdgeError):
    """A request that can't be answered. `status` is the HTTP status, `headers` what the answer says beside it."""

    status = 400

    def __init__(self, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.headers = headers or {}


class BadRequestError(RequestError):
    """The request itself is wrong."""


class UnauthorizedError(RequestError):
    """It carries no token that the server knows."""

    status = 401


class ForeignPageError(RequestError):
    """A browser asks for a page of another site."""

    status = 403


class NotFoundError(RequestError):
    """There is no such model, picture or page."""

    status = 404


class NotAcceptableError(RequestError):
    """None of the formats that the client reads can be made."""

    status = 406


class SlowBodyError(RequestError):
    """The body did not arrive in the time that a request may take."""

    status = 408


class BodyTooLargeError(RequestError):
    """The body is over the limit."""

    status = 413


class UnsupportedTypeError(RequestError):
    """The body is not of a type, or a compression, that is read here."""

    status = 415


class QueueFullError(RequestError):
    """As many images wait as may."""

    status = 429


class ClientClosedError(RequestError):
    """The client has left."""

    status = CLIENT_CLOSED


class NotOfferedError(RequestError):
    """A part of a protocol that this server does without."""

    status = 501


class DrainingError(RequestError):
    """The server is about to end."""

    status = 503


class TimedOutError(RequestError):
    """The answer took longer than a request may."""

    status = 504


def status_of(error: StyleganEdgeError) -> int:
    """The HTTP status of an error: 4xx where the caller can mend it, 500 where the device or the bundle failed."""
    if isinstance(error, RequestError):
        return error.status
    return 400 if isinstance(error, InputError) else 500
