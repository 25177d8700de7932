"""Writes the JSON schemas that kubeconform asks for, into a folder: `python -m tests.deploy.schemas WHEEL KEDA FOLDER`.

kubeconform would fetch them from a web address, one by one and unpinned. Here they come out of two packages that are
pinned by their hashes: kubernetes-validate of PyPI (Kubernetes' own OpenAPI, with nothing else allowed) and KEDA's Go
module (its custom resources).
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import yaml

OLDEST, NEWEST = "1.30.0", "1.37.0"  # that the chart is checked for; deploy/helm/Chart.yaml asks for the oldest
_IN_WHEEL = "kubernetes_validate/kubernetes-json-schema/v{version}-local-strict/{file}"
_KINDS = (
    *("statefulset-apps-v1", "deployment-apps-v1", "service-v1", "job-batch-v1", "cronjob-batch-v1"),
    *("poddisruptionbudget-policy-v1", "ingress-networking-v1"),
)


def write(wheel: Path, keda: Path, folder: Path) -> None:
    """A folder for each version, each schema whole in its file."""
    custom = [_custom(yaml.safe_load(path.read_text())) for path in keda.glob("config/crd/bases/keda.sh_*.yaml")]
    with zipfile.ZipFile(wheel) as packed:
        for version in (OLDEST, NEWEST):
            there = folder / version
            there.mkdir(parents=True, exist_ok=True)
            shared = json.loads(packed.read(_IN_WHEEL.format(version=version, file="_definitions.json")))["$defs"]
            for kind in _KINDS:
                text = packed.read(_IN_WHEEL.format(version=version, file=f"{kind}.json")).decode()
                schema = json.loads(text.replace('"/api/_definitions.json#/', '"#/'))
                schema.pop("$id", None)
                (there / f"{kind}.json").write_text(json.dumps(schema | {"$defs": shared}))
            for name, schema in custom:
                (there / f"{name}.json").write_text(json.dumps(schema))


def _custom(resource: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name under which kubeconform asks for a custom resource, and its schema, in which nothing else is allowed."""
    spec = resource["spec"]
    (version,) = spec["versions"]
    group = spec["group"].partition(".")[0]
    return f"{spec['names']['singular']}-{group}-{version['name']}", _closed(version["schema"]["openAPIV3Schema"])


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    # As the API server does: what it does not know it prunes, unless the schema lets it pass. Metadata has no schema here.
    if (
        closed.get("type") == "object"
        and "properties" in closed
        and not closed.get("x-kubernetes-preserve-unknown-fields")
    ):
        closed.setdefault("additionalProperties", False)
    return closed


if __name__ == "__main__":
    write(*map(Path, sys.argv[1:4]))
