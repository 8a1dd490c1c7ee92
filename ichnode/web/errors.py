"""How an error reaches whoever asked: a page for people, JSON for programs, never a traceback."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from ichnode.errors import IchnodeError, TransientError
from ichnode.log import get_logger, place_of
from ichnode.web.pages import page
from ichnode.web.refusals import Refused
from ichnode.web.visitor import COOKIE, recognise

log = get_logger(__name__)


async def refused(request: Request, error: Exception) -> Response:
    """Answer a `Refused`; a person who has to sign in first is led there and back."""
    assert isinstance(error, Refused)
    if error.status == 401 and _is_person(request) and request.method == "GET":
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return _session_over(request, RedirectResponse(f"/sign-in?next={quote(here)}", 303))
    answer = await _tell(request, error.status, error.code, error.sentence)
    return _session_over(request, answer) if error.status == 401 else answer


def _session_over(request: Request, answer: Response) -> Response:
    """Make the browser of whoever had a session forget what it keeps of patients."""
    if COOKIE in request.cookies:
        answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


async def not_served(request: Request, error: Exception) -> Response:
    """Answer what has no route, or not by this method."""
    assert isinstance(error, HTTPException)
    sentence = "There is no such page." if error.status_code == 404 else f"{HTTPStatus(error.status_code).phrase}."
    return await _tell(request, error.status_code, HTTPStatus(error.status_code).name, sentence)


async def failed(request: Request, error: Exception) -> Response:
    """Answer an error that was raised on purpose below."""
    assert isinstance(error, IchnodeError)
    return await _tell(request, 503 if isinstance(error, TransientError) else 409, error.code, error.sentence)


async def unexpected(request: Request, error: Exception) -> Response:
    """Answer anything else. The type only: the text may quote a data set."""
    remedy = f"An unexpected {type(error).__name__}. Report this line."
    log.error("web.failed", at=place_of(error), remedy=remedy)
    return await _tell(request, 500, "UNEXPECTED", "Something unexpected happened; the log of the node says where.")


async def _tell(request: Request, status: int, code: str, sentence: str) -> Response:
    if not _is_person(request):
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        return JSONResponse({"error": {"code": code, "sentence": sentence}}, status, headers)
    return await run_in_threadpool(_page, request, status, sentence)


def _page(request: Request, status: int, sentence: str) -> Response:
    try:
        visitor = recognise(request)
    except (Refused, IchnodeError):
        visitor = None
    return page(request, "error.html", visitor, status=status, code=status, sentence=sentence)


def _is_person(request: Request) -> bool:
    """Tell whether the answer is looked at as a page; a part of a page says the sentence in its foot."""
    by_script = request.url.path.startswith("/api/") or "HX-Request" in request.headers
    return not by_script and "text/html" in request.headers.get("Accept", "")
