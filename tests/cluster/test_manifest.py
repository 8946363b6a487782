"""Every key of the manifest of docs/cluster/kubernetes.md is one that KubeRay and Kubernetes know, and its parts fit
together. What they know stands in kuberay.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE, IMAGE = ((ROOT / f"docs/cluster/{name}.md").read_text("utf-8") for name in ("kubernetes", "image"))
TYPES: dict[str, dict[str, str]] = yaml.safe_load((Path(__file__).parent / "kuberay.yaml").read_text("utf-8"))
[TEXT] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
MANIFEST: list[dict[str, Any]] = list(yaml.safe_load_all(TEXT))


@pytest.mark.parametrize("document", MANIFEST, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_the_manifest_has_what_kuberay_and_kubernetes_know(document: dict[str, Any]) -> None:
    assert list(wrong(document, document["kind"], "")) == []


def test_what_they_do_not_know_is_found() -> None:
    cluster = {"apiVersion": "ray.io/v2", "kind": "RayCluster", "metadata": {"name": 3}, "spec": {"headGroupSpecs": {}}}
    assert list(wrong(cluster, "RayCluster", "")) == [
        "/apiVersion: no ray.io/v1: 'ray.io/v2'", "/metadata/name: no text: 3", "/spec/headGroupSpecs is unknown",
        "/spec/headGroupSpec is missing",
    ]  # fmt: skip


def wrong(value: Any, kind: str, path: str) -> Iterator[str]:
    if kind in TYPES:
        fields = {name.removesuffix("!"): each for name, each in TYPES[kind].items()}
        for name, each in value.items():
            if name in fields:
                yield from wrong(each, fields[name], f"{path}/{name}")
            else:
                yield f"{path}/{name} is unknown"
        yield from (
            f"{path}/{name[:-1]} is missing" for name in TYPES[kind] if name.endswith("!") and name[:-1] not in value
        )
    elif kind[0] in "[{":
        if not isinstance(value, list if kind[0] == "[" else dict):
            yield f"{path}: no {kind}: {value!r}"
            return
        for name, each in enumerate(value) if kind[0] == "[" else value.items():
            yield from wrong(each, kind[1:-1], f"{path}/{name}")
    elif not fits(value, kind):
        yield f"{path}: no {kind}: {value!r}"


def fits(value: Any, kind: str) -> bool:
    plain = {"text": isinstance(value, str), "bool": isinstance(value, bool), "any": True,
             "number": isinstance(value, int) and not isinstance(value, bool)}  # fmt: skip
    return plain[kind] if kind in plain else value in kind.split("|")


def test_the_parts_of_the_manifest_fit_together() -> None:
    [cluster] = [each for each in MANIFEST if each["kind"] == "RayCluster"]
    services = {each["metadata"]["name"]: each["spec"] for each in MANIFEST if each["kind"] == "Service"}
    templates = [each["spec"]["template"] for each in MANIFEST if "template" in each["spec"]]
    for service in services.values():
        assert service["selector"] in [each["metadata"]["labels"] for each in templates]
    name, port = cluster["spec"]["gcsFaultToleranceOptions"]["redisAddress"].split(":")
    assert services[name]["ports"] == [{"port": int(port)}]
    [host] = [each for each in templates if each["metadata"]["labels"] == {"app": "pilot-host"}]
    [container] = host["spec"]["containers"]
    assert f"ray://{cluster['metadata']['name']}-head-svc:10001" in container["command"]
    secrets = {
        variable["valueFrom"]["secretKeyRef"]["name"] for variable in container["env"] if "valueFrom" in variable
    }
    assert secrets == {cluster["spec"]["authOptions"]["secretName"]}
    assert f"generic {secrets.pop()} --from-literal=auth_token=" in PAGE
    flags = [word for word in container["command"] if word.startswith("--")]
    assert set(flags) <= {name for option in host_options() for name in option}
    for template in [*templates, *(each["template"] for each in (cluster["spec"]["headGroupSpec"],
                                                                 *cluster["spec"]["workerGroupSpecs"]))]:  # fmt: skip
        volumes = {volume["name"] for volume in template["spec"].get("volumes", ())} | {"data"}
        for each in template["spec"]["containers"]:
            assert {mount["name"] for mount in each.get("volumeMounts", ())} <= volumes


def host_options() -> list[list[str]]:
    import click

    from runtime.host.commands import host

    return [option.opts for option in host.get_params(click.Context(host))]


def test_the_image_has_the_clusters_ray() -> None:
    [cluster] = [each for each in MANIFEST if each["kind"] == "RayCluster"]
    versions = re.findall(r"ray:([\d.]+)-|ray\[client\]==([\d.]+)", IMAGE)
    assert {each for pair in versions for each in pair if each} == {cluster["spec"]["rayVersion"]}
    images = set(re.findall(r"docker (?:build -t|push) (\S+)", IMAGE))
    assert set(re.findall(r"image: (registry\S+)", PAGE)) == images
