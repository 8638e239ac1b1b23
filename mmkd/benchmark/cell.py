"""One training of a benchmark: its folder, its account and its result."""

import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Set

from mmengine.config import Config

from mmkd.errors import DataError
from mmkd.files import read_json, write_json, write_text
from mmkd.visualization import read_scalars
from mmkd.visualization.curves import Curve

METRIC = 'accuracy/top1'


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
        facts (dict): What the report has to know, ``config``, the hash, among it.
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
    def max_epochs(self) -> int:
        """Length of the training."""
        return self.cfg.train_cfg.max_epochs

    def account(self) -> dict:
        """Return what was noted so far."""
        return read_json(self.folder / 'cell.json')

    def note(self, **values) -> None:
        """Note values, for this and later calls of the tool."""
        write_json(self.folder / 'cell.json', dict(self.account(), **values))

    def result(self) -> dict:
        """Return the result, empty before the training has ended."""
        return read_json(self.folder / 'result.json')

    def curve(self) -> Curve:
        """Return the epochs validated and their top-1 in percent."""
        return read_scalars(self.folder, METRIC)

    def prepare(self) -> None:
        """Write the config. A Runner writes its own version over it."""
        write_text(self.config, self.cfg.pretty_text)

    def resume_point(self) -> Optional[Path]:
        """Return the checkpoint to go on from, None to start at the beginning.

        MMEngine saves an epoch before it validates it, and does not catch up on a
        validation when it resumes. So this is the newest whole file of which, and of
        the epochs before, the validation is in the log.
        """
        validated = set(self.curve()[0])
        files = {
            int(path.stem[6:]): path
            for path in self.folder.glob('epoch_*.pth')
            if path.stem[6:].isdigit()
        }
        for epoch in sorted(files, reverse=True):
            whole = zipfile.is_zipfile(files[epoch])
            if whole and self._validations(epoch) <= validated:
                return files[epoch]
        return None

    def finish(self, **facts) -> dict:
        """Write the result of a training that has ended, and return it.

        Raises:
            DataError: The log lacks a validation.
        """
        top1 = dict(zip(*self.curve()))
        missing = sorted(self._validations(self.max_epochs) - set(top1))
        if missing:
            raise DataError(
                f'{self.name}: the log has no {METRIC} of epoch {missing[0]}; the '
                'benchmark needs it of every validation and of the last epoch.'
            )
        best = max(top1, key=lambda epoch: (top1[epoch], -epoch))
        result = dict(
            self.account(),
            last=dict(epoch=self.max_epochs, top1=top1[self.max_epochs]),
            best=dict(epoch=best, top1=top1[best]),
            curve=sorted(top1.items()),
            train_loss=sorted(self._losses().items()),
            date=time.strftime('%Y-%m-%d'),
            **facts,
        )
        self.prepare()
        write_json(self.folder / 'result.json', result)
        return result

    def log_tail(self, lines: int = 10) -> List[str]:
        """Return the last lines of the training's output."""
        path = self.folder / 'train.log'
        text = path.read_text(errors='replace') if path.exists() else ''
        return [line for line in text.splitlines() if line.strip()][-lines:]

    def _validations(self, until: int) -> Set[int]:
        """Return the epochs that MMEngine validates, as EpochBasedTrainLoop.run."""
        loop = self.cfg.train_cfg
        interval, begin = loop.get('val_interval', 1), loop.get('val_begin', 1)
        return {
            epoch
            for epoch in range(begin, until + 1)
            if epoch % interval == 0 or epoch == self.max_epochs
        }

    def _losses(self) -> Dict[int, float]:
        """Return the mean of each epoch's logged losses; both go by iteration."""
        epochs = dict(zip(*read_scalars(self.folder, 'epoch')))
        by_epoch: Dict[int, list] = {}
        for step, loss in zip(*read_scalars(self.folder, 'loss')):
            if step in epochs:
                by_epoch.setdefault(int(epochs[step]), []).append(loss)
        return {epoch: sum(each) / len(each) for epoch, each in by_epoch.items()}
