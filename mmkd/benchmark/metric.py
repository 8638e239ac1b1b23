"""The figure that a benchmark compares, as a config's evaluator gives it."""

import re
from dataclasses import dataclass
from typing import Iterator, Optional

from mmengine.config import Config

from mmkd.configs import name_of, type_of
from mmkd.errors import ConfigError

#: Of results that were written before other metrics than this were known.
TOP1 = 'accuracy/top1'
AREAS = dict(bbox='box AP', segm='mask AP')


@dataclass(frozen=True)
class Metric:
    """A figure in a training's log, of which more is better, and how it is written.

    Args:
        key (str): Its name in the log.
        name (str): Its name for people.
        unit (str): Of what is shown. Defaults to none.
        scale (float): What is logged times this is shown. Defaults to 1.0.
        spec (str): How many digits are shown. Defaults to ``'.4g'``.
        empty (float, optional): What it is where a validation logs nothing, as COCO's
            evaluator does that was shown no detection. Defaults to unknown.
    """

    key: str
    name: str
    unit: str = ''
    scale: float = 1.0
    spec: str = '.4g'
    empty: Optional[float] = None

    @classmethod
    def of(cls, key: str) -> 'Metric':
        """Return the metric of a name in the log; an unknown one is shown as it is."""
        rank = re.fullmatch(r'accuracy/top(\d+)', key)
        if rank:
            return cls(key, f'top-{rank[1]}', '%', spec='.2f')
        precision = re.fullmatch(r'coco/(bbox|segm)_mAP_?(50|75|s|m|l)?', key)
        if precision:
            name = AREAS[precision[1]] + (precision[2] or '')
            return cls(key, name, '%', scale=100.0, spec='.1f', empty=0.0)
        return cls(key, key)

    @property
    def head(self) -> str:
        """Head of a column of it."""
        return f'{self.name} ({self.unit})' if self.unit else self.name

    @property
    def column(self) -> str:
        """Head of a column of what is logged, for programs."""
        return self.key.split('/')[-1]

    def say(self, logged: float) -> str:
        """Return a logged value with its name and unit."""
        value = format(logged * self.scale, self.spec)
        return f'{self.name} {value} {self.unit}'.rstrip()


def metric_of(cfg: Config) -> Metric:
    """Return what a config's training is judged by.

    That is ``benchmark.metric`` in the config, or what ``val_evaluator`` gives:
    ``accuracy/top1`` of ``Accuracy``, ``coco/bbox_mAP`` of ``CocoMetric``.

    Raises:
        ConfigError: The evaluator gives several, or is unknown.
    """
    own = (cfg.get('benchmark') or {}).get('metric')
    if own:
        return Metric.of(own)
    specs = cfg.val_evaluator
    specs = specs if isinstance(specs, (list, tuple)) else [specs]
    keys = [key for spec in specs for key in _given(spec)]
    if len(keys) != 1:
        kinds = ', '.join(type_of(spec) for spec in specs)
        known = f'gives {" and ".join(keys)}' if keys else 'is not known here'
        example = keys[-1] if keys else 'NAME'
        raise ConfigError(
            f'val_evaluator ({kinds}) {known}, and a table has one metric; choose it '
            f"by its name in the log with benchmark=dict(metric='{example}') in the "
            f'config or --cfg-options benchmark.metric={example}.'
        )
    return Metric.of(keys[0])


def _given(spec) -> Iterator[str]:
    """Give the first figure of each kind that an evaluator logs."""
    kind = name_of(spec)
    if kind == 'Accuracy' and not isinstance(spec.get('thrs'), (list, tuple)):
        ranks = spec.get('topk', 1)
        first = ranks if isinstance(ranks, int) else min(ranks)
        yield f'{spec.get("prefix") or "accuracy"}/top{first}'
    if kind == 'CocoMetric':
        kinds = spec.get('metric', 'bbox')
        for area in [kinds] if isinstance(kinds, str) else kinds:
            if area in AREAS:
                yield f'{spec.get("prefix") or "coco"}/{area}_mAP'
