"""Class names and prototypes: the text embedding of a class's name mixed with the mean of its clips.

    t_c   = text embedding of the template with the name of class c       (zero-shot)
    p_c   = mean of e(x) over the support of class c                      (few-shot, as SimpleCIL)
    score = 16 ((1 - w) cos(e, t_c) + w cos(e, p_c))

For backbones whose embedding is comparable with that of a text (CLAP). The idea of adding few-shot to zero-shot scores
is that of the Treff adapter without training (Liang et al., INTERSPEECH 2023, arXiv 2305.17719). Nothing is trained.

The weight w is chosen by leave-one-out on the support: a support clip is compared with the prototype of its class's
other clips and with every other class of its session, and the w with which its own class wins most often is taken, the
middle one where several are equally good. Sessions add up. The wins are counted by pairs of classes: a class can be
forgotten exactly. With one shot there is no prototype without the clip: such clips do not count, and if there are no
others, the weight is the middle one, 0.5.

Different from the release (github JinhuaLiang/lam4fsl): it adds a exp(-b (1 - cos(e, x_i))) over all support clips x_i
to the text scores, a = 1 and b = 5.5, chosen on other data; here a class has one prototype, so that no clip is stored,
and the weight is chosen. Its prompt is "this is a sound of NAME"; the default here is the template of the zero-shot
pipeline of `transformers`.

Names say nothing where they are codes (speakers, numbered classes): then w should become 1, which is SimpleCIL.
"""

from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from datasets.benchmark.protocol import ClassClips, Session
from trainables.learners.features import FeatureRequest, Features
from trainables.learners.learner import Learner, column_labels
from trainables.learners.settings import Settings
from trainables.networks.classifier import count_values
from trainables.networks.heads import class_means, cosine_scores
from trainables.store.state import State

NAME = "{name}"
STEPS = 20  # the weights that are compared: 0, 1/20, ..., 1


class ClapTextSettings(Settings):
    """Settings of `clap-text`; the template is that of `transformers`."""

    template: str = Field(
        "This is a sound of {name}.",
        description="text of a class; {name} is its name with spaces instead of underscores. "
        "Published: 'this is a sound of {name}'",
    )
    mix: float | Literal["auto"] = Field(
        "auto", description="weight w of the prototype, from 0 (names only) to 1 (clips only); auto: by leave-one-out"
    )

    @field_validator("template")
    @classmethod
    def _check_template(cls, template: str) -> str:
        if template.count(NAME) != 1:
            raise ValueError(f"expected a text with {NAME} in it once")
        return template

    @field_validator("mix", mode="before")
    @classmethod
    def _check_mix(cls, mix: Any) -> Any:
        if mix != "auto" and not (isinstance(mix, (int, float)) and 0 <= mix <= 1):
            raise ValueError("expected auto, or a number from 0 to 1")
        return mix


class ClapText(Learner):
    """Stores a prototype and a text embedding of every class, and leave-one-out counts of pairs of classes.

    Attributes:
        prototypes: `[classes, dim]`.
        texts: `[classes, dim]`, of length 1.
        pairs: labels of a class and another one of its session, `[pairs, 2]`.
        wins: in how many support clips of the first the first wins, with each weight, `[pairs, STEPS + 1]`.
    """

    name = "clap-text"
    version = 1
    summary = "text embeddings of the class names mixed with prototypes; needs a backbone with a text tower"
    paper = "Liang et al. 2023, arXiv 2305.17719"
    Settings = ClapTextSettings
    published = {"template": "this is a sound of {name}"}
    heads = ("mixed", "text", "prototype")
    uses = frozenset({"embed", "text"})
    forgets = True

    def __init__(self, settings: ClapTextSettings, features: Features) -> None:
        super().__init__(settings, features)
        self.prototypes = self.texts = torch.empty(0)
        self.pairs = torch.empty(0, 2, dtype=torch.int64)
        self.wins = torch.empty(0, STEPS + 1, dtype=torch.int64)

    def requests(self, positions: tuple[int, ...]) -> list[FeatureRequest]:
        return [self.features.pooled_request(positions)]

    @property
    def weight(self) -> float:
        """w, the weight of the prototypes."""
        return best_weight(self.wins) if self.settings.mix == "auto" else float(self.settings.mix)

    def learn(self, session: Session, generator: torch.Generator) -> None:
        embeddings = self.features.pooled(session.support)
        prototypes = class_means(embeddings, session.support_labels, session.labels)
        texts = self._embed_names(session.labels).to(embeddings)
        wins = wins_without_itself(embeddings, column_labels(session.support_labels, session.labels), prototypes, texts)
        labels = torch.tensor(session.labels)
        others = ~torch.eye(len(labels), dtype=torch.bool)
        self.pairs = torch.cat([self.pairs, torch.cartesian_prod(labels, labels)[others.flatten()].view(-1, 2)])
        self.wins = torch.cat([self.wins, wins[others]])
        self.prototypes = torch.cat([self.prototypes, prototypes]) if self.classes else prototypes
        self.texts = torch.cat([self.texts, texts]) if self.classes else texts
        self.classes += session.labels

    def forget(self, clips: ClassClips) -> None:
        column = self.classes.index(clips.label)
        self.prototypes, self.texts = (
            torch.cat([rows[:column], rows[column + 1 :]]) for rows in (self.prototypes, self.texts)
        )
        kept = (self.pairs != clips.label).all(dim=1)
        self.pairs, self.wins = self.pairs[kept], self.wins[kept]
        del self.classes[column]

    def score(self, positions: tuple[int, ...]) -> dict[str, Tensor]:
        embeddings, weight = self.features.pooled(positions), self.weight
        text, prototype = cosine_scores(embeddings, self.texts), cosine_scores(embeddings, self.prototypes)
        return {"mixed": (1 - weight) * text + weight * prototype, "text": text, "prototype": prototype}

    def state(self) -> State:
        classes = {"prototypes": self.prototypes, "texts": self.texts}
        parts = {"classes": classes, "pairs": {"pairs": self.pairs, "wins": self.wins}}
        return State(parts, {"classes": list(self.classes)})

    def load(self, state: State) -> None:
        device = self.features.device
        self.prototypes, self.texts = (state.parts["classes"][key].to(device) for key in ("prototypes", "texts"))
        self.pairs, self.wins = (state.parts["pairs"][key] for key in ("pairs", "wins"))
        self.classes = list(state.notes["classes"])

    def parameter_counts(self) -> tuple[int, int]:
        count = count_values(self.features.backbone) + self.prototypes.numel() + self.texts.numel()
        return count + self.pairs.numel() + self.wins.numel(), count

    def _embed_names(self, labels: tuple[int, ...]) -> Tensor:
        text, names = self.features.backbone.text, self.features.clips.class_names
        assert text is not None, "the method declares that it needs text"
        return text.embed([text_of(self.settings.template, names[label]) for label in labels])


def text_of(template: str, name: str) -> str:
    """The template with the name of a class, in which underscores are spaces."""
    return template.replace(NAME, " ".join(name.replace("_", " ").split()))


def wins_without_itself(embeddings: Tensor, columns: Tensor, prototypes: Tensor, texts: Tensor) -> Tensor:
    """Leave-one-out on the support of a session: how often a class wins over another with its own clips.

    The prototype of a clip's own class is (n p_c - e) / (n - 1): the mean of its other clips.

    Args:
        embeddings: of support clips, `[clips, dim]`.
        columns: their classes, `[clips]`.
        prototypes: the means of the clips, `[classes, dim]`.
        texts: `[classes, dim]`.

    Returns:
        `[classes, classes, STEPS + 1]`, int64, on the CPU: the clips of the first class whose score of it is higher
        than that of the second, for the weights 0, 1 / STEPS, ..., 1; 0 for classes of one clip.
    """
    classes = len(prototypes)
    wins = torch.zeros(classes, classes, STEPS + 1, dtype=torch.int64)
    shots = torch.bincount(columns, minlength=classes).tolist()
    weights = torch.linspace(0, 1, STEPS + 1)
    for embedding, column in zip(embeddings, columns.tolist(), strict=True):
        if (count := shots[column]) < 2:
            continue
        others = prototypes.clone()
        others[column] = (count * prototypes[column] - embedding) / (count - 1)
        text, audio = (cosine_scores(embedding[None], rows).T.cpu() for rows in (texts, others))
        mixed = (1 - weights) * text + weights * audio
        wins[column] += mixed[column] > mixed
    return wins


def best_weight(wins: Tensor) -> float:
    """The weight with the most wins, `[pairs, STEPS + 1]`; the middle one of several."""
    total = wins.sum(dim=0)
    best = (total == total.max()).nonzero()[:, 0]
    return int(best[(len(best) - 1) // 2]) / STEPS
