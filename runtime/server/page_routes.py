"""The page at `/`: the files of the folder `page`, as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

PAGE = Path(__file__).parent / "page"
UNCACHED = {"Cache-Control": "no-store"}
"""Files of a wheel all bear one date, by which a browser would take those of an older release for these."""


def page_routes() -> list[BaseRoute]:
    """The page, its icon, and its files under `/static/`."""
    return [Route("/", _page), Route("/favicon.ico", _favicon), Mount("/static", _Uncached(directory=PAGE))]


class _Uncached(StaticFiles):
    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers.update(UNCACHED)
        return response


async def _page(_: Request) -> Response:
    return FileResponse(PAGE / "index.html", headers=UNCACHED)


async def _favicon(_: Request) -> Response:
    return FileResponse(PAGE / "favicon.svg", media_type="image/svg+xml")
