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
WITH_POOL = {"networkPolicy": {"dicomFrom": ["192.0.2.0/24"]}, "pool": {"enabled": True, "gpu": {"most": 2}}}


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


def test_the_pool_is_what_kubernetes_knows_and_what_the_node_joins(helm, tmp_path):
    objects = helm.render(CHART, WITH_POOL)
    for one in objects:
        for version in ("1.28", kubernetes_validate.latest_version()):
            kubernetes_validate.validate(one, version, strict=True)
    named = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    pods = {name: one["spec"]["template"] for (kind, name), one in named.items() if kind == "Deployment"}
    assert set(pods) == {"head-pool-head", "head-pool-cpu", "head-pool-gpu"}
    for pod in pods.values():
        (container,) = pod["spec"]["containers"]
        environment = {one["name"]: one.get("value") for one in container["env"]}
        assert environment["RAY_AUTH_MODE"] == "token" and container["securityContext"]["readOnlyRootFilesystem"]
        assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == "ichnode-pool", "no service of the node's"
    scaler = named["HorizontalPodAutoscaler", "head-pool-cpu"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (1, 2)
    (node,) = named["StatefulSet", "head"]["spec"]["template"]["spec"]["containers"]
    given = {one["name"]: one.get("value", "10.0.0.1") for one in node["env"] if one["name"] != "ICHNODE_CONFIG"}
    settings = load(environ={name: value for name, value in given.items() if name.startswith("ICHNODE_")})
    assert settings.engine.kind == "ray" and settings.pool.address == "head-pool:6379"
    assert (settings.pool.cpu_workers, settings.pool.gpu_workers, settings.pool.cpus_per_worker) == (2, 2, 4)
    of_head, of_pool = named["Service", "head-pool"]["spec"], named["NetworkPolicy", "head-pool"]["spec"]
    head = pods["head-pool-head"]["metadata"]["labels"].items()
    assert of_head["selector"].items() <= head and of_pool["podSelector"]["matchLabels"].items() <= head


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
