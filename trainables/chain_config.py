"""The configuration of a chain; imports no PyTorch."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from datasets.benchmark.protocol import AnyProtocol, Protocol
from trainables.methods.registry import find_method, method_code
from trainables.networks.installed_backbones import code_of
from trainables.networks.specs import DEFAULT, BackboneSpec, FrontEndSpec, Layer, Padding, Pool, Revision, last_parts
from trainables.records import SeedTriple
from trainables.store.layout import address_of


class ChainConfig(BaseModel):
    """Everything that determines the results of a chain, and where it runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: Annotated[str, BeforeValidator(str)] = Field(description="folder or URI of a prepared benchmark")
    method: str = Field(description="its name, or code: mymethod.py:MyLearner or mypackage.module:MyLearner")
    method_code: str = Field(
        "", exclude_if=lambda code: not code, description="code of a method that is not Earshot's; method is its name"
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="of the method; the rest are its defaults")
    varied: tuple[str, ...] = Field((), description="settings that a search space varies")
    protocol: AnyProtocol = Protocol()
    seeds: SeedTriple = SeedTriple(order=0, support=0, initialisation=0)
    backbone: Annotated[str, AfterValidator(code_of)] = DEFAULT
    frontend: FrontEndSpec = FrontEndSpec()
    layer: Layer = Field("last", exclude_if=lambda layer: layer == "last", description="layer of the backbone")
    pool: Pool | None = Field(None, exclude_if=lambda pool: pool is None, description="of the backbone's tokens")
    padding: Padding = Field("model", exclude_if=lambda padding: padding == "model", description="of a clip")
    trust_remote_code: Revision | None = Field(
        None, exclude_if=lambda revision: revision is None, description="whose code may run, of the backbone"
    )
    backbone_parts: int = Field(
        1,
        ge=1,
        exclude_if=lambda parts: parts == 1,
        description="last parts of the backbone's path that distinguish it from the others of a sweep",
    )
    device: str = Field("cpu", description="cpu or cuda")
    precision: Literal["float32", "bf16"] = "float32"
    threads: int = Field(1, ge=1, description="CPU threads of a trial; they affect rounding, so results depend on them")
    store: Annotated[str, BeforeValidator(str)] = Field(
        "runs/store", description="folder or URI for stages and frozen embeddings, shared by all runs"
    )

    @model_validator(mode="before")
    @classmethod
    def _name_of_code(cls, values: Any) -> Any:
        """A method that is given as code is imported, as its name is in its class."""
        method = values.get("method") if isinstance(values, dict) else None
        if not isinstance(method, str) or values.get("method_code") or not (code := method_code(method)):
            return values
        return {**values, "method": find_method(method, code).name, "method_code": code}

    @property
    def configuration(self) -> str:
        """Name of the configuration: the same for all its seeds."""
        options = {"frontend", "layer", "pool", "padding", "trust_remote_code", "precision"}
        content = self.model_dump(mode="json", include={"settings", "protocol", *options})
        content["backbone"] = last_parts(self.backbone, self.backbone_parts)  # independent of the folder that it is in
        return f"{self.method}-{address_of(content)[:8]}"

    @property
    def backbone_spec(self) -> BackboneSpec:
        """The backbone and its options."""
        return BackboneSpec(self.backbone, self.frontend, self.layer, self.pool, self.padding, self.trust_remote_code)

    @property
    def trial(self) -> str:
        """Name of the trial."""
        return f"{self.configuration}-{self.seeds}"
