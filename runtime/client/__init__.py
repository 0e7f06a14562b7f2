"""Images from a server of ours, over HTTP: the extra `client`. Retries by itself; blocking, and for asyncio."""

from __future__ import annotations

from runtime.client.answers import ServedModel
from runtime.client.asking import Edit, Mix
from runtime.client.asynchronous import AsyncClient
from runtime.client.blocking import Client
from runtime.client.retrying import Retries
from runtime.client.streaming import Frame

__all__ = ["AsyncClient", "Client", "Edit", "Frame", "Mix", "Retries", "ServedModel"]
