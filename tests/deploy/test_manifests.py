"""The manifests of KubeRay and `ray up`, against what can check them here.

KubeRay's own schema of a RayJob is a megabyte, most of it Kubernetes' pods. Pods are checked by the schemas of
Kubernetes; the fields around them by `RAY_JOB`, which allows those that the manifest uses and no others.
"""

import shlex
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from orchestrator.tuning.arguments import parse
from orchestrator.tuning.config import SweepConfig

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = "1.33"


def closed(required: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """The schema of an object with these fields and no others."""
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
PARAMETERS = {"type": "object", "additionalProperties": TEXT}
TEMPLATE = closed(("spec",), spec={"type": "object"})  # Kubernetes' own schema checks what is in it
HEAD = closed(("template",), rayStartParams=PARAMETERS, template=TEMPLATE)
WORKERS = closed(
    ("groupName", "template", "minReplicas", "maxReplicas"),
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=PARAMETERS,
    template=TEMPLATE,
)
RAY_JOB = closed(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=closed(("name",), name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 47}),
    spec=closed(
        ("entrypoint", "rayClusterSpec"),
        entrypoint=TEXT,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        backoffLimit=COUNT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        rayClusterSpec=closed(
            ("headGroupSpec",),
            rayVersion=TEXT,
            authOptions=closed(("mode",), mode={"enum": ["token", "disabled"]}),
            headGroupSpec=HEAD,
            workerGroupSpecs={"type": "array", "items": WORKERS},
        ),
    ),
)


@pytest.fixture(scope="module")
def ray_job() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "kuberay-rayjob.yaml").read_text()))


def test_the_ray_job_is_one(ray_job: dict[str, Any]) -> None:
    jsonschema.validate(ray_job, RAY_JOB)
    cluster = ray_job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == ray.__version__
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": group["template"]["spec"]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_the_ray_job_runs_a_sweep_that_fits_its_pods(ray_job: dict[str, Any]) -> None:
    config = sweep_of(ray_job["spec"]["entrypoint"])
    (workers,) = ray_job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    gpus = int(container["resources"]["limits"]["nvidia.com/gpu"])
    assert config.gpus_per_trial > 0 and gpus / config.gpus_per_trial == 4  # as its comment says
    assert int(container["resources"]["limits"]["cpu"]) >= 4 * config.cpus_per_trial
    (mount,) = container["volumeMounts"]
    assert all(str(place).startswith(f"{mount['mountPath']}/") for place in (config.runs, config.storage))


def test_ray_takes_the_cluster_of_ray_up() -> None:
    config = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text())
    validate_config(prepare_config(config))
    commands = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    assert all("RAY_AUTH_MODE=token" in command for command in commands if "ray start" in command)


def sweep_of(command: str) -> SweepConfig:
    """The configuration of a command line, as the command reads it."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "orchestrator.sweep"]
    return parse(words[3:])
