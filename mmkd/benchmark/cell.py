"""One training of a benchmark: its folder, its account and its result."""

import math
import time
from bisect import bisect_left
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Dict, List, Optional

from mmengine.config import Config

from mmkd.engine.resume import newest_checkpoint
from mmkd.errors import DataError
from mmkd.files import write_text
from mmkd.visualization import read_scalars
from mmkd.visualization.curves import Curve

from .account import read_account, write_account
from .loop import Loop
from .metric import Metric


@dataclass
class Cell:
    """A config and a seed, and what is on the disk of their training.

    ``cell.json`` is written before the training and while it runs, ``result.json``
    at its end; both in one step, so that a kill leaves them whole.

    Args:
        stem (str): Name of the config file without its ending.
        seed (int): The seed.
        out (Path): Folder of the benchmark.
        cfg (Config): What to train, with the seed.
        facts (dict): What the report has to know; ``config``, the hash, and
            ``metric``, the key of the figure that counts, are among it.
    """

    stem: str
    seed: int
    out: Path
    cfg: Config
    facts: dict

    @property
    def name(self) -> str:
        """For people to read."""
        return f'{self.stem} seed {self.seed}'

    @property
    def folder(self) -> Path:
        """Work dir of the training."""
        return self.out / self.stem / f'seed{self.seed}'

    @property
    def config(self) -> Path:
        """File of the resolved config."""
        return self.folder / 'config.py'

    @property
    def loop(self) -> Loop:
        """Length of the training, and its validations."""
        return Loop.of(self.cfg)

    @property
    def metric(self) -> Metric:
        """What it is judged by."""
        return Metric.of(self.facts['metric'])

    def account(self) -> dict:
        """Return what was noted so far."""
        return read_account(self.folder / 'cell.json')

    def note(self, **values) -> None:
        """Note values, for this and later calls of the tool."""
        write_account(self.folder / 'cell.json', dict(self.account(), **values))

    def result(self) -> dict:
        """Return the result, empty before the training has ended."""
        return read_account(self.folder / 'result.json')

    def curve(self) -> Curve:
        """Return the epochs or iterations validated and what was logged of each."""
        return read_scalars(self.folder, self.metric.key, empty=self.metric.empty)

    def prepare(self) -> None:
        """Write the config. A Runner writes its own version over it."""
        write_text(self.config, self.cfg.pretty_text)

    def resume_point(self) -> Optional[Path]:
        """Return the checkpoint to go on from, None to start at the beginning.

        This is the newest whole file before which the log has every validation; its
        own is made up for, see :class:`mmkd.engine.hooks.MissedValidationHook`.

        Raises:
            CheckpointError: There are such files, and none of them is whole.
        """
        validated = set(self.curve()[0])
        lacking = (s for s in self.loop.validations() if s not in validated)
        return newest_checkpoint(self.folder, until=next(lacking, inf))

    def finish(self, **facts) -> dict:
        """Write the result of a training that has ended, and return it.

        Raises:
            DataError: The log lacks a validation, or has one that is not finite.
        """
        loop, values = self.loop, dict(zip(*self.curve()))
        missing = [step for step in loop.validations() if step not in values]
        if missing:
            raise DataError(
                f'{self.name}: the log has no {self.metric.key} of {loop.unit} '
                f'{missing[0]}; the benchmark needs it of every validation and of the '
                f'last {loop.unit}.'
            )
        odd = [step for step, value in values.items() if not math.isfinite(value)]
        if odd:
            raise DataError(
                f'{self.name}: {self.metric.key} of {loop.unit} {odd[0]} is '
                f'{values[odd[0]]}, which cannot be compared; see {self.folder}.'
            )
        best = max(values, key=lambda step: (values[step], -step))
        result = dict(
            self.account(),
            last=dict(step=loop.length, value=values[loop.length]),
            best=dict(step=best, value=values[best]),
            curve=sorted(values.items()),
            train_loss=sorted(self._losses().items()),
            date=time.strftime('%Y-%m-%d'),
            **facts,
        )
        self.prepare()
        write_account(self.folder / 'result.json', result)
        return result

    def log_tail(self, lines: int = 10) -> List[str]:
        """Return the last lines of the training's output."""
        path = self.folder / 'train.log'
        text = path.read_text(errors='replace') if path.exists() else ''
        return [line for line in text.splitlines() if line.strip()][-lines:]

    def _losses(self) -> Dict[int, float]:
        """Return the mean of the losses logged in an epoch, or since a validation."""
        steps, losses = read_scalars(self.folder, 'loss')
        if self.loop.unit == 'epoch':  # of an iteration, which losses go by
            where = dict(zip(*read_scalars(self.folder, 'epoch')))
        else:
            ends = self.loop.validations()
            where = {step: ends[bisect_left(ends, step)] for step in steps}
        parts: Dict[int, list] = {}
        for step, loss in zip(steps, losses):
            if step in where:
                parts.setdefault(int(where[step]), []).append(loss)
        return {step: sum(each) / len(each) for step, each in parts.items()}
