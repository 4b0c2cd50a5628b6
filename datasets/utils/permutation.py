"""The permutations of `torch.randperm`, without importing PyTorch, which takes seconds and 600 MB.

The published draws of support clips are those of PyTorch's generator on the CPU: a Mersenne Twister (MT19937, Matsumoto
and Nishimura 1998) seeded with the lower 32 bits of the seed, and a Fisher-Yates shuffle with one number of 32 bits a
step. NumPy has the same generator. So a draw does not depend on the version of PyTorch either.
"""

import numpy as np


def permutation(count: int, seed: int) -> list[int]:
    """`torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()`.

    Args:
        count: number of values, below 2e8 (PyTorch draws more values otherwise).
        seed: from 0 to 2**63 - 1.
    """
    generator = np.random.MT19937()
    generator.state = np.random.RandomState(seed & 0xFFFFFFFF).get_state(legacy=False)  # type: ignore[assignment]
    values = list(range(count))
    for place, draw in enumerate(generator.random_raw(max(count - 1, 0)).tolist()):
        other = place + draw % (count - place)
        values[place], values[other] = values[other], values[place]
    return values
