"""Cross-domain chains: base classes of one benchmark, then 9 x 5 classes of another (CD-FCAC, INTERSPEECH 2026).

    cd-fcac-l2n    base session: the base classes of LS-100 (60)    then nine sessions: 5 classes of NSynth-100 each

Six protocols, from each of LS-100 (l), NSynth-100 (n) and FSC-89 (f) to each other. They run on a mix of the two
benchmarks, `earshot prepare mix`, in the order of the chain. The nine sessions take the last 45 classes of the second
benchmark: its novel classes (45 of NSynth-100, 40 of LS-100, 30 of FSC-89) and, where these are fewer, base classes
before them. The publication does not say which 45 it takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from datasets.utils.errors import EarshotError
from datasets.utils.text import first_few, printable

WAY, SESSIONS = 5, 9
"""New classes of an incremental session, and the number of these."""


@dataclass(frozen=True)
class Domain:
    """A benchmark that chains come from or lead to.

    Attributes:
        names: of the benchmark in a mix; the first is that of `earshot prepare`.
        classes: of the benchmark.
        base: base classes, the first ones.
        options: of `earshot prepare`.
    """

    names: tuple[str, ...]
    classes: int
    base: int
    options: str

    @property
    def prepare(self) -> str:
        """The command that makes the benchmark."""
        return f"earshot prepare {self.names[0]} {self.options} --out data/{self.names[0]}"


DOMAINS = {
    "l": Domain(("ls100", "ls100-published"), 100, 60, "--source DIR"),
    "n": Domain(("nsynth100",), 100, 55, "--source DIR --meta DIR"),
    "f": Domain(("fsc89",), 89, 59, "--source DIR --meta DIR"),
}


@dataclass(frozen=True)
class CrossDomain:
    """A chain from one benchmark to another."""

    first: Domain
    second: Domain

    @property
    def class_order(self) -> tuple[int, ...]:
        """Labels in a mix of both: the base classes of the first, then the last classes of the second."""
        end = self.first.classes + self.second.classes
        return (*range(self.first.base), *range(end - WAY * SESSIONS, end))


CROSS_DOMAIN = {
    f"cd-fcac-{pair}": CrossDomain(DOMAINS[pair[0]], DOMAINS[pair[2]])
    for pair in ("l2n", "l2f", "n2l", "n2f", "f2l", "f2n")
}
"""Name of the protocol -> chain."""


def check_mix(protocol: str, class_names: Sequence[str]) -> None:
    """Checks that a cross-domain protocol runs on the mix that it is defined for; any other protocol passes.

    Args:
        protocol: its name; 'cd-fcac-l2n-changed' is checked like 'cd-fcac-l2n'.
        class_names: of the benchmark, by label; a mix writes 'ls100/1069'.

    Raises:
        EarshotError: the benchmark is another one; says which commands make the mix.
    """
    chain = CROSS_DOMAIN.get(protocol.removesuffix("-changed"))
    if chain is None:
        return
    found = [(name, len(list(group))) for name, group in groupby(name.partition("/")[0] for name in class_names)]
    expected = (chain.first, chain.second)
    if len(found) == len(expected) and all(
        name in domain.names and classes == domain.classes
        for (name, classes), domain in zip(found, expected, strict=True)
    ):
        return
    first, second = expected
    shown = first_few([printable(f"{name} ({classes})") for name, classes in found], 3)
    raise EarshotError(
        f"protocol {protocol}: expected a mix of {first.names[0]} ({first.classes} classes) and {second.names[0]} "
        f"({second.classes}), in this order and with these names, found {shown}; make it with: {first.prepare}; "
        f"{second.prepare}; earshot prepare mix --of data/{first.names[0]} --of data/{second.names[0]} "
        f"--out data/{protocol.removesuffix('-changed').rpartition('-')[2]}"
    )
