"""The Helm chart: Helm's own lint and rendering, and every object against the schema of Kubernetes."""

from __future__ import annotations

import shutil
import tomllib

import kubernetes_validate
import pytest

from ichnode.config import load
from tests.conftest import missing
from tests.deploy.helm import LIBRARY, Helm, HelmFailed
from tests.generated import ROOT

CHART = ROOT / "deploy" / "helm" / "ichnode"
ALL = {
    "networkPolicy": {"dicomFrom": ["192.0.2.0/24"], "pagesFrom": ["monitoring"]}, "gpus": 1, "secret": "ichnode-files",
    "image": {"repository": "registry.example/ichnode", "digest": "sha256:" + "0" * 64, "pullSecrets": ["pull"]},
    "dicom": {
        "type": "NodePort", "nodePort": 31112, "tlsPort": 2762,
        "sourceRanges": ["192.0.2.0/24"], "annotations": {"a": "b"},
    },
    "pages": {"plainHttp": True}, "storage": {"storageClass": "fast"}, "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}], "resources": {"limits": None, "requests": None},
}  # fmt: skip


@pytest.fixture
def helm(tmp_path):
    if not LIBRARY.exists():
        missing("Helm is not here: make interop-deps")
    return Helm(tmp_path)


@pytest.mark.parametrize("values", [{}, ALL], ids=["as it is", "with everything"])
def test_what_helm_renders_is_what_kubernetes_knows(helm, values):
    assert helm.lint(CHART) == []
    objects = helm.render(CHART, values)
    kinds = {one["kind"] for one in objects}
    assert kinds == {"ConfigMap", "Service", "StatefulSet", *(["NetworkPolicy"] if values else [])}
    for one in objects:
        for version in ("1.28", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(one, version, strict=True)


def test_a_list_of_the_network_policy_that_is_empty_shuts_nobody_out(helm):
    values = {"networkPolicy": {"dicomFrom": ["192.0.2.0/24"], "pagesFrom": []}}
    (policy,) = [one for one in helm.render(CHART, values) if one["kind"] == "NetworkPolicy"]
    dicom, pages = policy["spec"]["ingress"]
    assert dicom["from"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
    assert [port["port"] for port in pages["ports"]] == ["pages"] and "from" not in pages


def test_a_chart_that_is_wrong_is_noticed(helm, tmp_path):
    shutil.copytree(CHART, tmp_path / "chart")
    node = tmp_path / "chart" / "templates" / "node.yaml"
    node.write_text(node.read_text().replace("serviceName:", "servceName:"))
    stateful = next(one for one in helm.render(tmp_path / "chart", {}) if one["kind"] == "StatefulSet")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(stateful, kubernetes_validate.latest_version(), strict=True)
    with pytest.raises(HelmFailed, match="replicas"):
        helm.render(CHART, {"replicas": 2})


def test_the_pod_may_do_nothing_that_the_node_need_not(helm, tmp_path):
    by_kind = {one["kind"]: one for one in helm.render(CHART, {})}
    pod = by_kind["StatefulSet"]["spec"]["template"]["spec"]
    assert by_kind["StatefulSet"]["spec"]["replicas"] == 1
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    written = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert written == ["/var/lib/ichnode", "/tmp"]
    config = tmp_path / "ichnode.toml"
    config.write_text(by_kind["ConfigMap"]["data"]["ichnode.toml"])
    assert [d.name for d in load(config).destinations] == ["pacs"]


def test_the_chart_is_of_the_version_of_the_program():
    from ichnode import __version__

    lines = (CHART / "Chart.yaml").read_text().splitlines()
    assert {f"version: {__version__}", f"appVersion: {__version__}"} <= set(lines)
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__
