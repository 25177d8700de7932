"""The chart: helm renders it, Kubernetes' own schemas take what comes of it, and it tells processes what they can be told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from agents.pipeline import STAGES
from schemas.settings import Settings, load
from schemas.settings.table import variable
from stream.offsets import group_of
from tests.deploy import tools
from tests.deploy.schemas import NEWEST, OLDEST
from tests.docs.command import complaint
from tests.support.processes import ROOT

CHART = ROOT / "deploy" / "helm"
NEEDED: dict[str, Any] = {
    "secret": "sendlens-secrets",
    "kafka": {"servers": "kafka-0.kafka:9092,kafka-1.kafka:9092"},
    "clickhouse": {"url": "http://clickhouse:8123"},
    "publicUrl": "https://t.example.com",
    "envelopeDomain": "bounces.example.com",
}
ALL = NEEDED | {
    "sendersSecret": "sendlens-senders",
    "imagePullSecrets": [{"name": "registry"}],
    "grafana": {"url": "http://grafana:3000", "clickhouseUrl": "http://clickhouse.example.com:8123"},
    "settings": {"SENDLENS_TOPIC_PREFIX": "eu-", "SENDLENS_SPOOL_MB": "1000000", "SENDLENS_LOG_FORMAT": "console"},
    "ingest": {
        "ingress": {
            "enabled": True, "className": "nginx", "host": "t.example.com", "tlsSecret": "t-tls",
            "annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "32m"},
        },
        "storage": {"className": "fast"},
    },
    "worker": {"autoscaling": {"enabled": True}},
    "report": {"enabled": True, "schedule": "0 6 * * 1", "timeZone": "Europe/Paris"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "mail", "operator": "Exists"}],
}  # fmt: skip
Manifest = dict[str, Any]


def template(values: dict[str, Any], name: str = "spring") -> tuple[int, str]:
    return tools.run("helm", "template", name, str(CHART), "--values", "-", text=yaml.safe_dump(values))


def rendered(values: dict[str, Any], name: str = "spring") -> list[Manifest]:
    code, said = template(values, name)
    assert code == 0, said
    return [one for one in yaml.safe_load_all(said) if one]


@pytest.fixture(scope="module")
def everything() -> dict[str, Manifest]:
    """All that the chart can make, by kind and name."""
    return {f"{one['kind']} {one['metadata']['name']}": one for one in rendered(ALL)}


def containers(manifests: dict[str, Manifest]) -> dict[str, dict[str, Any]]:
    """The container of each pod template, by its name."""
    specs = [one["spec"].get("jobTemplate", one)["spec"] for one in manifests.values()]
    pods = [spec["template"]["spec"] for spec in specs if "template" in spec]
    return {pod["containers"][0]["name"]: pod["containers"][0] for pod in pods}


def environment(container: dict[str, Any]) -> dict[str, str]:
    names = [one["name"] for one in container["env"]]
    assert len(set(names)) == len(names)
    return {one["name"]: one["value"] for one in container["env"]}


@pytest.mark.parametrize("values", [NEEDED, ALL], ids=["needed", "all"])
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_takes_all_that_comes_of_it(values: dict[str, Any], version: str) -> None:
    _, manifests = template(values)
    schemas = f"{tools.SCHEMAS}/{version}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    code, said = tools.run("kubeconform", "-strict", "-summary", "-schema-location", schemas, text=manifests)
    assert code == 0, said
    assert "Skipped: 0" in said
    assert "Valid: 0" not in said


def test_kubernetes_would_not_take_a_misspelt_field() -> None:
    _, manifests = template(ALL)
    schemas = f"{tools.SCHEMAS}/{NEWEST}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    for right, wrong in (("livenessProbe", "livenesProbe"), ("maxReplicaCount", "maxReplicasCount")):
        spoilt = manifests.replace(right, wrong)
        code, said = tools.run("kubeconform", "-strict", "-schema-location", schemas, text=spoilt)
        assert code == 1, wrong
        assert wrong in said


def test_helm_lints_it() -> None:
    code, said = tools.run("helm", "lint", "--strict", str(CHART), "--values", "-", text=yaml.safe_dump(ALL))
    assert code == 0, said


def test_without_what_it_needs_it_says_what() -> None:
    code, said = template({})
    assert code != 0
    for name in ("/secret", "/kafka/servers", "/clickhouse/url", "/publicUrl", "/envelopeDomain"):
        assert name in said


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"ingests": {}}, "ingests"),
        ({"settings": {"SENDLENS_SPOOL_MB": 1000000}}, "want string"),
        ({"settings": {"SPOOL_MB": "1"}}, "SPOOL_MB"),
        ({"worker": {"autoscaling": {"enabled": True, "maxReplicas": 13}}}, "more workers than partitions"),
        ({"ingest": {"ingress": {"enabled": True}}}, "the host of publicUrl"),
    ],
)
def test_what_would_not_work_is_refused(values: dict[str, Any], why: str) -> None:
    code, said = template(NEEDED | values)
    assert code != 0
    assert why in said


def test_each_container_runs_a_command_that_is_there(everything: dict[str, Manifest]) -> None:
    found = containers(everything)
    assert set(found) == {"ingest", "worker", "inbox", "migrate", "boards", "report"}
    for container in found.values():
        assert complaint([str(word) for word in container["args"]]) is None


def test_each_process_is_told_settings_that_load(everything: dict[str, Manifest]) -> None:
    secrets = {"token_keys": "1:0123456789abcdef0123456789abcdef", "api_key": "the-api-key-of-this-test"}
    known = {variable(name): name for name in Settings.model_fields}
    for container in containers(everything).values():
        told = environment(container)
        assert set(told) <= set(known)
        settings = load(**{known[name]: value for name, value in told.items()}, **secrets, clickhouse_password="x")
        assert (settings.mode, settings.partitions, settings.replication) == ("cluster", 12, 3)
        assert (settings.spool_mb, settings.log_format) == (1_000_000, "console"), "what settings say stands"
        assert container["envFrom"] == [{"secretRef": {"name": "sendlens-secrets"}}]


def test_workers_scale_by_the_lag_of_each_stage(everything: dict[str, Manifest]) -> None:
    scaled = everything["ScaledObject spring-sendlens-worker"]["spec"]
    settings = Settings(_env_file=None, topic_prefix="eu-")  # type: ignore[call-arg]
    groups = [trigger["metadata"]["consumerGroup"] for trigger in scaled["triggers"]]
    assert groups == [group_of(settings, stage.name) for stage in STAGES]
    deployment = everything["Deployment spring-sendlens-worker"]
    assert scaled["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"], "each upgrade would undo what the autoscaler did"
    fixed = {one["kind"]: one for one in rendered(NEEDED)}
    assert fixed["Deployment"]["spec"]["replicas"] == 2
    assert "ScaledObject" not in fixed


def test_the_schema_is_there_before_a_release_and_the_boards_after_it(everything: dict[str, Manifest]) -> None:
    hooks = {
        name: one["metadata"]["annotations"]["helm.sh/hook"] for name, one in everything.items() if one["kind"] == "Job"
    }
    assert hooks == {
        "Job spring-sendlens-migrate": "pre-install,pre-upgrade",
        "Job spring-sendlens-boards": "post-install,post-upgrade",
    }
    assert not [one for one in rendered(NEEDED) if one["metadata"]["name"].endswith("boards")]


def test_one_job_at_a_time_sends_the_report_and_none_unless_it_is_asked_for(everything: dict[str, Manifest]) -> None:
    report = everything["CronJob spring-sendlens-report"]["spec"]
    assert (report["schedule"], report["timeZone"], report["concurrencyPolicy"]) == (
        "0 6 * * 1",
        "Europe/Paris",
        "Forbid",
    )
    assert "CronJob" not in {one["kind"] for one in rendered(NEEDED)}


@pytest.mark.parametrize("name", ["ingest", "inbox"])
def test_what_must_not_be_lost_is_on_a_volume_that_stays(everything: dict[str, Manifest], name: str) -> None:
    one = everything[f"StatefulSet spring-sendlens-{name}"]["spec"]
    assert set(one["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}
    (claim,) = one["volumeClaimTemplates"]
    mounts = {mount["name"]: mount["mountPath"] for mount in one["template"]["spec"]["containers"][0]["volumeMounts"]}
    data = environment(one["template"]["spec"]["containers"][0])["SENDLENS_DATA_DIR"]
    assert Path(mounts[claim["metadata"]["name"]]) in Path(data).parents


def test_no_pod_may_do_more_than_it_must(everything: dict[str, Manifest]) -> None:
    for one in everything.values():
        if "template" not in one["spec"]:
            continue
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        allowed = pod["containers"][0]["securityContext"]
        assert allowed == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "limits" in pod["containers"][0]["resources"]


def test_a_service_leads_to_its_pods_and_the_ingress_to_the_service(everything: dict[str, Manifest]) -> None:
    service = everything["Service spring-sendlens-ingest"]
    pods = everything["StatefulSet spring-sendlens-ingest"]["spec"]["template"]
    assert service["spec"]["selector"].items() <= pods["metadata"]["labels"].items()
    ports = {port["name"] for port in pods["spec"]["containers"][0]["ports"]}
    assert service["spec"]["ports"][0]["targetPort"] in ports
    (rule,) = everything["Ingress spring-sendlens"]["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert (backend["name"], backend["port"]["name"]) == (
        service["metadata"]["name"],
        service["spec"]["ports"][0]["name"],
    )


def test_a_long_name_of_a_release_stays_a_name(everything: dict[str, Manifest]) -> None:
    for one in rendered(ALL, "a" * 53):
        assert len(one["metadata"]["name"]) <= 63
    assert {one["metadata"]["name"] for one in rendered(NEEDED, "sendlens")} <= {
        f"sendlens-{part}" for part in ("ingest", "worker", "inbox", "migrate")
    }


def test_the_values_are_those_of_the_schema_where_there_is_no_helm() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    checker = jsonschema.Draft7Validator(schema)
    wrong = {"/".join(map(str, error.path)) for error in checker.iter_errors(values)}
    assert wrong == {"secret", "kafka/servers", "clickhouse/url", "publicUrl", "envelopeDomain"}
    assert not list(checker.iter_errors(values | NEEDED))
    assert set(values) == set(schema["properties"]) - {"global"}


def test_the_groups_that_scale_are_the_stages_where_there_is_no_helm() -> None:
    text = (CHART / "templates" / "worker.yaml").read_text()
    (named,) = re.findall(r'range list ((?:"\w+" ?)+)', text)
    assert re.findall(r'"(\w+)"', named) == [stage.name for stage in STAGES]
