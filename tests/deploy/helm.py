"""Helm itself, from the library that the package helm-sdkpy brings, and enough of a cluster for it to render a chart.

Helm renders nothing for `install` before it has found a cluster. The one here knows which kinds exist and has none of
them; the release that Helm asks it to keep holds the manifests, and is refused.
"""

from __future__ import annotations

import base64
import ctypes
import gzip
import json
import platform
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

_MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
LIBRARY = (
    Path(__file__).parents[2] / "build" / "helm" / "helm_sdkpy" / "_lib" / f"linux-{_MACHINE}" / "libhelm_sdkpy.so"
)
_KINDS = {
    "/api/v1": {"configmaps": "ConfigMap", "services": "Service", "secrets": "Secret"},
    "/apis/apps/v1": {"statefulsets": "StatefulSet", "deployments": "Deployment"},
    "/apis/autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "/apis/networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
}
_OPTIONS = {
    "create_namespace": False, "wait": False, "timeout_seconds": 30, "wait_for_jobs": False,
    "server_side_apply": "false", "disable_openapi_validation": True,
}  # fmt: skip


class HelmFailed(Exception):
    """What Helm said."""


class _Cluster(BaseHTTPRequestHandler):
    """The API of an empty cluster, as far as Helm asks."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/version":
            self._answer(200, {"major": "1", "minor": "33", "gitVersion": "v1.33.0"})
        elif path == "/api":
            self._answer(200, {"kind": "APIVersions", "versions": ["v1"]})
        elif path == "/apis":
            groups = [
                {"name": name, "versions": [one], "preferredVersion": one}
                for name, version in (("apps", "v1"), ("autoscaling", "v2"), ("networking.k8s.io", "v1"))
                for one in [{"groupVersion": f"{name}/{version}", "version": version}]
            ]
            self._answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        elif path in _KINDS:
            verbs = ["create", "get", "list", "patch", "update", "delete"]
            known = [
                {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": verbs}
                for name, kind in _KINDS[path].items()
            ]
            version = path.split("/", 2)[2]
            self._answer(200, {"kind": "APIResourceList", "groupVersion": version, "resources": known})
        elif path.endswith("/secrets"):
            self._answer(200, {"kind": "SecretList", "apiVersion": "v1", "items": []})
        else:
            self._answer(404, _failure(404, "NotFound"))

    def do_POST(self) -> None:
        self.server.asked.append(self.rfile.read(int(self.headers["Content-Length"])))  # type: ignore[attr-defined]
        self._answer(403, _failure(403, "Forbidden"))

    def _answer(self, code: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Helm:
    """Helm's library; `folder` takes the configuration of a cluster that is not there."""

    def __init__(self, folder: Path) -> None:
        self._library = ctypes.CDLL(str(LIBRARY))
        self._library.helm_sdkpy_last_error.restype = ctypes.c_char_p
        self._folder = folder

    def lint(self, chart: Path) -> list[str]:
        """Return what ``helm lint`` warns of and complains about, with its severities; hints are left out."""
        said = json.loads(self._call("helm_sdkpy_lint", "http://127.0.0.1:9", str(chart).encode()))
        return [str(one) for one in said["Messages"] or [] if one["Severity"] > 1] + [*(said["Errors"] or [])]

    def render(self, chart: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the objects that ``helm install head`` would make."""
        with ThreadingHTTPServer(("127.0.0.1", 0), _Cluster) as server:
            server.asked = []  # type: ignore[attr-defined]
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            arguments = (b"head", str(chart).encode(), json.dumps(values).encode(), b"", json.dumps(_OPTIONS).encode())
            try:
                self._call("helm_sdkpy_install", f"http://127.0.0.1:{server.server_port}", *arguments)
            except HelmFailed as error:
                refused = error
            else:
                raise AssertionError("the release was to be refused")
            finally:
                server.shutdown()
                thread.join()
        kept = [found[0] for body in server.asked if (found := re.search(rb"SDRzS[\w+/=]+|H4sI[\w+/=]+", body))]  # type: ignore[attr-defined]
        if not kept:
            raise refused
        return [one for one in yaml.safe_load_all(_manifest(kept[0])) if one]

    def _call(self, function: str, cluster: str, *arguments: bytes) -> str:
        config = self._folder / "cluster.json"
        context = {"name": "x", "context": {"cluster": "x", "user": "x"}}
        config.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "x", "contexts": [context],
            "clusters": [{"name": "x", "cluster": {"server": cluster}}], "users": [{"name": "x", "user": {}}],
        }))  # fmt: skip
        handle, said = ctypes.c_ulonglong(), ctypes.c_char_p()
        self._check(self._library.helm_sdkpy_config_create(b"ct", str(config).encode(), b"", b"", ctypes.byref(handle)))
        try:
            self._check(getattr(self._library, function)(handle, *arguments, ctypes.byref(said)))
        finally:
            self._library.helm_sdkpy_config_destroy(handle)
        return (said.value or b"").decode()

    def _check(self, code: int) -> None:
        if code:
            raise HelmFailed(self._library.helm_sdkpy_last_error().decode())


def _manifest(release: bytes) -> str:
    while not release.startswith(b"{"):
        release = gzip.decompress(release) if release.startswith(b"\x1f\x8b") else base64.b64decode(release)
    return str(json.loads(release)["manifest"])


def _failure(code: int, reason: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}
