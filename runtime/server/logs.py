"""Logs as JSON, a line an event, each with the id of the request that it belongs to."""

from __future__ import annotations

import json
import logging
import re
import sys
import uuid
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any, TextIO

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The request that is being answered."""
ACCESS = "runtime.server.access"
"""The logger of a line a request."""

_ID = re.compile(r"^[A-Za-z0-9_.:-]{1,128}$")


def request_id(given: str | None) -> str:
    """The id that a client or proxy gave a request, where it is a harmless word; else a new one."""
    return given if given and _ID.match(given) else uuid.uuid4().hex


class JsonLines(logging.Formatter):
    """One JSON object an event: time (UTC), level, logger, message, request_id, and the `fields` of its `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if REQUEST_ID.get() is not None:
            line["request_id"] = REQUEST_ID.get()
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_as_json(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Let this process' log be JSON lines on `stream` (standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("runtime.server").setLevel(level)
    logging.getLogger("uvicorn.access").disabled = True  # ours has the request's id and time
