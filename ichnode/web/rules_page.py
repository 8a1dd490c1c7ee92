"""The rule tester: drop DICOM files, see what the node would do with them and why. Nothing is kept."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from ichnode.steps.explain import explain_files, in_words
from ichnode.steps.node import Node
from ichnode.web.doors import door
from ichnode.web.pages import page
from ichnode.web.refusals import Refused
from ichnode.web.visitor import Visitor, node_of, note_view

MOST_FILES = 2000


def rules_page(request: Request, visitor: Visitor) -> Response:
    """Show where files can be dropped."""
    limit = node_of(request).settings.web.upload_bytes
    return page(request, "rules.html", visitor, tried=None, limit=limit)


def try_rules(request: Request, visitor: Visitor) -> Response:
    """Say what the node would do with the files of a form."""
    tried = judged(node_of(request), request.state.form)
    note_view(request, visitor, "rules.tried", files=tried["files"])
    limit = node_of(request).settings.web.upload_bytes
    template = "rules_tried.html" if request.headers.get("HX-Request") == "true" else "rules.html"
    return page(request, template, visitor, tried=tried, limit=limit)


def try_rules_json(request: Request, visitor: Visitor) -> Response:
    """Say what the node would do with DICOM files, and why; nothing is kept."""
    tried = judged(node_of(request), request.state.form)
    note_view(request, visitor, "rules.tried", files=tried["files"])
    return JSONResponse(tried)


def judged(node: Node, form: FormData) -> dict[str, Any]:
    """Return what the node's own rules say of uploaded files; they lie in a folder that is gone afterwards.

    Raises
    ------
    Refused
        400: no file came.
    """
    uploads = [one for one in form.getlist("files") if isinstance(one, UploadFile) and one.filename]
    if not uploads:
        raise Refused(400, "NO_FILES", "Choose or drop at least one DICOM file.")
    with tempfile.TemporaryDirectory(prefix="ichnode-rules-") as folder:
        names = dict(_laid_out(uploads, Path(folder)))
        explanation = explain_files(names, node.selection)
    unread = [
        {"file": names[file], "code": why.code, "sentence": why.sentence} for file, why in explanation.unread
    ]  # fmt: skip
    return {"files": len(uploads), "series": [in_words(one) for one in explanation.series], "unread": unread}


def _laid_out(uploads: list[UploadFile], folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each upload's file; its name never comes from the network."""
    for number, upload in enumerate(uploads):
        path = folder / f"{number:05d}"
        with path.open("wb") as file:
            shutil.copyfileobj(upload.file, file)
        upload.file.close()  # or all of them would lie on the disk twice
        yield path, (upload.filename or "")[-80:]


def routes(upload_bytes: int) -> list[BaseRoute]:
    """Return the routes; `upload_bytes` is the most that is taken at once."""
    return [
        door("/rules", "rules.try", rules_page),
        door("/rules", "rules.try", try_rules, ("POST",), body_bytes=upload_bytes, uploads=True, name="rules_tried"),
        door("/api/v1/rules", "rules.try", try_rules_json, ("POST",), body_bytes=upload_bytes, uploads=True),
    ]
