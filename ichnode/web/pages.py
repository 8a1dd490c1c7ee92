"""Pages from templates: everything that is filled in is escaped, static files carry the hash of their content."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from ichnode.web import wording
from ichnode.web.visitor import Visitor, node_of

STATIC = Path(__file__).parent / "static"
_TEMPLATES = Path(__file__).parent / "templates"


@lru_cache(maxsize=256)
def static(name: str) -> str:
    """Return the address of a static file; another content is another address, so browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates; an undefined name is an error, never an empty place."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.globals["static"] = static
    made.globals["version"] = version("ichnode")
    made.globals["words"] = wording
    return made


def page(request: Request, template: str, visitor: Visitor | None, *, status: int = 200, **filled: Any) -> HTMLResponse:
    """Return a page (or, for htmx, a part of one).

    A template has `visitor`, `csrf`, `path` and `node_name` besides what is `filled` in; it extends ``base.html``.
    """
    text = environment().get_template(template).render(
        visitor=visitor, csrf=visitor.csrf if visitor else "", path=request.url.path,
        node_name=node_of(request).settings.node.aet, **filled,
    )  # fmt: skip
    return HTMLResponse(text, status)
