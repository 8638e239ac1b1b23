"""Several tests at once."""

from typing import List, Sequence

import numpy as np

from mmkd.errors import ConfigError


def holm(p_values: Sequence[float]) -> List[float]:
    """Correct p-values for their number by Holm's step-down method.

    Each corrected value below 0.05 is significant with a chance of at most 5 % that
    any of them is so by luck, however the tests depend on each other: S. Holm, A
    Simple Sequentially Rejective Multiple Test Procedure (1979).

    Args:
        p_values (Sequence[float]): One of each test.

    Returns:
        list[float]: Corrected values in the same order, at most 1.

    Raises:
        ConfigError: A value is not between 0 and 1.
    """
    values = np.asarray(p_values, np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ConfigError(
            f'the p-values {values.tolist()} are not all between 0 and 1; leave out '
            'those that are undefined.'
        )
    order = values.argsort()
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()
