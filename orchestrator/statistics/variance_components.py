"""Variance components of the seeds: class order, support draw, initialisation.

The chains of a configuration are modelled as a crossed layout without replication: a metric of the chain with class
order o, support draw s and initialisation i is

    y_osi = mean + O_o + S_s + I_i + e_osi

with independent random effects. Their variances are estimated by fitting constants (method III of Henderson,
Biometrics 9, 1953; Searle, Casella and McCulloch, Variance Components, 1992, chapter 5), which for a balanced layout
is the classical analysis of variance. A chain is deterministic, so the residual is the interaction of the seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.results.run import Run
from trainables.records import SeedTriple

SOURCES = {"order": "class order", "support": "support draw", "initialisation": "initialisation"}
INTERACTION = "interaction"


@dataclass(frozen=True)
class Component:
    """Contribution of one source to the variance over chains.

    Attributes:
        name: 'class order', 'support draw', 'initialisation' or 'interaction'; 'support draw + initialisation' if
            these seeds always change together, so that they cannot be separated.
        levels: number of different seeds; 0 for the interaction.
        variance: estimated variance, at least 0.
        share: share of the sum over all components.
        clipped: whether the estimate was negative, as that of a small variance from few chains may be.
    """

    name: str
    levels: int
    variance: float
    share: float
    clipped: bool


@dataclass(frozen=True)
class VarianceSplit:
    """The variance over the chains of a configuration, by source.

    Attributes:
        components: sources whose seeds vary; the interaction is last.
        fixed: sources whose seeds do not vary, or have no effect under the protocol; their share is unknown.
        n: number of chains.
    """

    components: tuple[Component, ...]
    fixed: tuple[str, ...]
    n: int

    @property
    def shares(self) -> dict[str, float]:
        """Name of the component -> its share; they sum to one."""
        return {component.name: component.share for component in self.components}


def split_variance(run: Run, configuration: str, head: str, metric: str = "aa") -> VarianceSplit | None:
    """Splits the variance of a metric on test clips over the chains of a configuration.

    Args:
        run: the run.
        configuration: name of the configuration.
        head: name of the head.
        metric: a column of `Run.chains`.

    Returns:
        None if it cannot be estimated: the seeds that vary always change together (as with `--seeds 3`), there are too
        few chains, or all have the same value.
    """
    rows = run.chains
    rows = rows[(rows["configuration"] == configuration) & (rows["head"] == head) & (rows["split"] == "test")]
    rows = rows[rows["complete"].astype(bool) & rows[metric].notna()]
    seeds = [run.trials[trial].seeds for trial in rows["trial"]]
    protocol = run.of(configuration)[0].protocol
    without_effect = ("order",) if protocol.get("class_order", "seeded") != "seeded" else ()
    return split_values(rows[metric].to_numpy(dtype=float), seeds, without_effect)


def split_values(
    values: NDArray[np.float64], seeds: Sequence[SeedTriple], without_effect: Sequence[str] = ()
) -> VarianceSplit | None:
    """Splits the variance of values over seed triples; see `split_variance`.

    With M the projection that removes the mean and all other factors, and Z the indicators of a factor's levels,

        R = y' P y   where P projects on M Z;   E[R] = variance(factor) * trace(Z' M Z) + variance(residual) * rank(M Z)

    Args:
        values: one per chain.
        seeds: seeds of each chain.
        without_effect: names of seeds without effect.

    Returns:
        None if it cannot be estimated.
    """
    if len(values) < 2 or np.ptp(values) < 1e-12:
        return None
    codes = {name: np.unique([getattr(triple, name) for triple in seeds], return_inverse=True)[1] for name in SOURCES}
    varied = [name for name in SOURCES if name not in without_effect and codes[name].max() > 0]
    groups = _moving_together({name: codes[name] for name in varied})
    if len(groups) < 2:
        return None
    factors = [np.eye(codes[group[0]].max() + 1)[codes[group[0]]] for group in groups]  # indicators [chains, levels]
    ones = np.ones((len(values), 1))
    full = _basis(np.hstack([ones, *factors]))
    freedom = len(values) - full.shape[1]
    if freedom < 1:
        return None
    residual = float(np.sum((values - full @ (full.T @ values)) ** 2)) / freedom
    estimates = []
    for index, factor in enumerate(factors):
        others = _basis(np.hstack([ones, *factors[:index], *factors[index + 1 :]]))
        remainder = factor - others @ (others.T @ factor)
        basis = _basis(remainder)
        if not basis.shape[1]:
            return None  # the other seeds determine this one
        reduction = float(np.sum((basis.T @ values) ** 2))
        estimates.append((reduction - basis.shape[1] * residual) / float(np.sum(remainder**2)))
    estimates.append(residual)
    variances = np.maximum(np.where(np.abs(estimates) < 1e-15, 0, estimates), 0)
    names = [" + ".join(SOURCES[name] for name in group) for group in groups] + [INTERACTION]
    levels = [factor.shape[1] for factor in factors] + [0]
    parts = zip(names, levels, variances, variances / variances.sum(), np.asarray(estimates) < -1e-15, strict=True)
    components = tuple(Component(name, n, float(v), float(share), bool(cut)) for name, n, v, share, cut in parts)
    return VarianceSplit(components, tuple(SOURCES[n] for n in SOURCES if n not in varied), len(values))


def _moving_together(codes: dict[str, NDArray[np.intp]]) -> list[list[str]]:
    """Groups of seeds that determine each other: the same partition of the chains."""
    groups: list[list[str]] = []
    for name, code in codes.items():
        for group in groups:
            if _same_partition(codes[group[0]], code):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _same_partition(first: NDArray[np.intp], second: NDArray[np.intp]) -> bool:
    pairs = {(int(a), int(b)) for a, b in zip(first, second, strict=True)}
    return len(pairs) == len(set(first.tolist())) == len(set(second.tolist()))


def _basis(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """An orthonormal basis of the columns, [rows, rank]."""
    left, values, _ = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(left[:, values > 1e-9 * max(1.0, float(values.max(initial=0.0)))])
