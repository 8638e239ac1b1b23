"""How networks are probed."""

import math
from typing import Optional, Sequence

from mmkd.errors import ConfigError

from .classifiers.linear_probe import LEARNING_RATES, WEIGHT_DECAYS
from .features.layers import POOLED

#: Classifiers to hold the probe against, from scikit-learn and by neighbours.
REFERENCES = ('logistic_regression', 'nearest_neighbours')


class Protocol:
    """How networks are probed.

    Args:
        layers (Sequence[str]): See :class:`Network`; one is chosen.
        input_size (int, optional): See :class:`Transform`.
        learning_rates (Sequence[float]): See :func:`linear_probe`.
        weight_decays (Sequence[float]): See :func:`linear_probe`.
        held_out (float): See :func:`linear_probe`.
        epochs (int, optional): See :func:`train_grid`.
        seeds (Sequence[int]): Of the probe, each a run, and of random weights.
        references (Sequence[str]): Of :data:`REFERENCES`, on the same features.

    Raises:
        ConfigError: An argument is out of its range.
    """

    def __init__(
        self,
        *,
        layers: Sequence[str] = (POOLED,),
        input_size: Optional[int] = None,
        learning_rates: Sequence[float] = LEARNING_RATES,
        weight_decays: Sequence[float] = WEIGHT_DECAYS,
        held_out: float = 0.2,
        epochs: Optional[int] = None,
        seeds: Sequence[int] = (0,),
        references: Sequence[str] = (),
    ) -> None:
        # Plain lists and numbers, which JSON can hold.
        self.layers = list(layers)
        self.input_size = input_size
        self.learning_rates = [float(rate) for rate in learning_rates]
        self.weight_decays = [float(decay) for decay in weight_decays]
        self.held_out = held_out
        self.epochs = epochs
        self.seeds = [int(seed) for seed in seeds]
        self.references = list(references)
        for name in ('layers', 'learning_rates', 'weight_decays', 'seeds'):
            if not getattr(self, name):
                raise ConfigError(f'{name} is empty, but it must name at least one.')
        for name in self.references:
            if name not in REFERENCES:
                raise ConfigError(
                    f'unknown reference {name!r}; known: {", ".join(REFERENCES)}.'
                )
        if len(self.layers) > 1 and self.references:
            raise ConfigError(
                f'references take one layer, but got {", ".join(self.layers)}.'
            )
        rates, decays = self.learning_rates, self.weight_decays
        if not (
            all(0 < rate < math.inf for rate in rates)
            and all(0 <= decay < math.inf for decay in decays)
        ):
            raise ConfigError(
                f'learning_rates={rates} must be above 0 and weight_decays={decays} '
                'at least 0.'
            )
        if not 0 < self.held_out < 1:
            raise ConfigError(
                f'held_out={self.held_out}, but it must be between 0 and 1.'
            )
        if self.epochs is not None and self.epochs < 1:
            raise ConfigError(f'epochs={self.epochs}, but it must be at least 1.')
        if min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(
                f'seeds={self.seeds}, but they must be whole numbers from 0 on, each '
                'named once.'
            )

    @property
    def grid(self) -> int:
        """How many settings a probe is chosen among."""
        cells = (self.layers, self.learning_rates, self.weight_decays)
        return math.prod(len(set(values)) for values in cells)

    @property
    def holds_out(self) -> bool:
        """Whether a part of train is held out to choose by."""
        return self.grid > 1 or bool(self.references)
