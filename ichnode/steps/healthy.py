"""Healthy: does the node of these settings run on this machine? Cheap, without torch, and without calling any peer."""

from __future__ import annotations

import os
import socket
import ssl
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from ichnode.config import Settings
from ichnode.steps.examine import Check

ANSWER_S = 5.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_REMEDY = "The node does not run, is still starting, or hangs: see its log."


def healthy(settings: Settings) -> Check:
    """Tell whether the DICOM port takes connections and the pages answer; a remedy says that the node is not well.

    Images matter more than pages: a node whose pages have no port, since another program has it, is well, and so is one
    whose pages turn people away because too many ask at once.
    """
    host, tls = settings.node.host, settings.tls
    port = settings.node.port if tls.plain_port or not tls.certificate else tls.port
    try:
        # No association: it would have to pass the allow-list, and be written down each time.
        socket.create_connection((_ANY.get(host, host), port), ANSWER_S).close()
    except OSError as error:
        return Check("port", f"{host}:{port}: {_why(error)}", _REMEDY)
    found = f"{host}:{port} takes connections"
    if not settings.web.enabled:
        return Check("port", found)
    try:
        said = _health_of_the_pages(settings)
    except ConnectionRefusedError:
        return Check("port", f"{found}; the pages have no port")
    except (OSError, HTTPException) as error:
        return Check("pages", f"/healthz: {_why(error)}", _REMEDY)
    if said == HTTPStatus.SERVICE_UNAVAILABLE:  # of the server itself: /healthz never says so
        return Check("pages", f"{found}; the pages are crowded")
    return Check("pages", f"{found}; /healthz says {said}", "" if said == HTTPStatus.OK else _REMEDY)


def _health_of_the_pages(settings: Settings) -> int:
    web = settings.web
    host = _ANY.get(web.host, web.host)
    if web.certificate:
        # This machine asks itself; the certificate is of the name under which others come.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection: HTTPConnection = HTTPSConnection(host, web.port, timeout=ANSWER_S, context=context)
    else:
        connection = HTTPConnection(host, web.port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


def _why(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else "no answer"
