"""The inputs of a trial that is exported: benchmark, front end and backbone, found again and verified."""

from datasets.benchmark.manifest import Manifest
from datasets.utils.errors import EarshotError
from datasets.utils.location import Location
from datasets.utils.own_code import is_code
from datasets.utils.text import printable
from orchestrator.results import benchmark
from orchestrator.results.run_folder import RunFolder
from trainables.learners.learner import Learner
from trainables.methods.registry import check_backbone
from trainables.networks.backbones.backbone import Backbone
from trainables.networks.backbones.registry import load_backbone
from trainables.networks.specs import FRONT_ENDS, BackboneSpec, ClipFormat, FrontEndSpec
from trainables.records import TrialRecord
from trainables.store.stages import Stage


def find_benchmark(folder: RunFolder, record: TrialRecord, override: str | None) -> str:
    """Folder or URI of the benchmark that the trial was trained on, verified by its clips.

    Raises:
        EarshotError: it is not there, or is another one.
    """
    if override is not None:
        manifest = Manifest.load(override)
        if not record.has_benchmark(manifest):
            raise EarshotError(
                f"--benchmark {Location.of(override)}: expected the benchmark of the run (fingerprint "
                f"{record.benchmark_digest[:12]}...), found {manifest.content_digest[:12]}..."
            )
        return override
    where = folder.where()
    found = benchmark.find_benchmark(where, record)
    if found is not None:
        return found
    location = str(where.get("benchmark", ""))
    raise EarshotError(
        f"benchmark {printable(record.benchmark)}: not found where the sweep read it"
        f"{f' ({Location.of(location)})' if location else ''}, with fingerprint "
        f"{record.benchmark_digest[:12]}...; give its folder: --benchmark DIR"
    )


def frontend_spec(stage: Stage) -> FrontEndSpec:
    """The front end in a stage's description: 'kaldi', or 'reference 400/160'."""
    if not str(stage.depends_on["frontend"]).startswith(FRONT_ENDS):
        return FrontEndSpec()  # the backbone has its own
    kind, _, window = str(stage.depends_on["frontend"]).partition(" ")
    if not window:
        return FrontEndSpec.model_validate({"kind": kind})
    size, hop = window.split("/")
    return FrontEndSpec.model_validate({"kind": kind, "window": int(size), "hop": int(hop)})


def verified_backbone(
    record: TrialRecord,
    method: type[Learner],
    stage: Stage,
    frontend: FrontEndSpec,
    manifest: Manifest,
    override: str | None,
    trust_remote_code: str | None = None,
) -> Backbone | None:
    """The backbone that the trial was computed with, verified by its digest; None if the method uses none."""
    digest = stage.depends_on["weights"]
    if digest is None:
        return None
    name = override or record.backbone
    has_code = record.trust_remote_code is not None or trust_remote_code is not None
    if has_code and (override is None or trust_remote_code is None):
        raise EarshotError(
            f"trial {printable(record.trial)}: computed with the code that comes with {printable(name)}, and code is "
            f"not taken from a run folder; add --backbone {printable(name)} --trust-remote-code "
            f"{printable(record.trust_remote_code or 'REVISION')}"
        )
    if override is None and is_code(name):
        raise EarshotError(
            f"trial {printable(record.trial)}: computed with the network of {printable(name)}, and code is not taken "
            f"from a run folder; add --backbone {printable(name)}"
        )
    spec = BackboneSpec(name, frontend, record.layer, record.pool, record.padding, trust_remote_code)
    backbone = load_backbone(spec, ClipFormat(manifest.sample_rate, manifest.num_samples))
    check_backbone(method, method.Settings.model_validate(record.settings), backbone, printable(name))
    if backbone.digest != digest:
        raise EarshotError(
            f"backbone '{printable(name)}': not the weights that the trial was computed with (expected "
            f"{digest[:12]}..., found {backbone.digest[:12]}...); give the right ones with --backbone"
        )
    return backbone
