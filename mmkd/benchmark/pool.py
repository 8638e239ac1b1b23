"""Trainings side by side, with a line now and then."""

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

from mmengine.device import get_device

from mmkd.errors import CheckpointError, ConfigError, DataError
from mmkd.provenance import device, versions

from .cell import Cell
from .job import Job

POLL = 0.1  # seconds
GRACE = 10.0  # seconds from SIGTERM to SIGKILL


class Pool:
    """Runs cells in their order, so many at once; one that fails stops no other.

    Args:
        train (Path): ``tools/train.py``.
        lock (int): Descriptor of the benchmark's lock.
        jobs (int): Trainings at once. Defaults to 1.
        gpus (Sequence[int]): GPUs to spread them over, counted within
            ``CUDA_VISIBLE_DEVICES`` where that is set. Defaults to torch's choice.
        say (Callable): Prints a line.
        interval (float): Seconds between two lines on the progress.

    Raises:
        ConfigError: There are no such GPUs.
    """

    def __init__(
        self,
        train: Path,
        lock: int,
        jobs: int = 1,
        gpus: Sequence[int] = (),
        say: Callable[[str], None] = print,
        interval: float = 30.0,
    ) -> None:
        self.train, self.lock, self.jobs = train, lock, jobs
        self.gpus, self.say, self.interval = list(gpus), say, interval
        self.running: List[Job] = []
        self.failures: Dict[str, str] = {}
        self.signal: Optional[int] = None
        if self.gpus:
            _check_gpus(self.gpus)

    def run(self, cells: Sequence[Cell]) -> Optional[int]:
        """Train what has no result yet.

        Args:
            cells (Sequence[Cell]): All cells of the benchmark.

        Returns:
            int, optional: The signal that ended it early, SIGINT or SIGTERM; then
            nothing runs on.
        """
        self.cells = list(cells)
        waiting = [cell for cell in self.cells if not cell.result()]
        told = time.monotonic()
        with self._signals_noted():
            try:
                while (waiting or self.running) and self.signal is None:
                    while waiting and len(self.running) < self.jobs:
                        self._begin(waiting.pop(0))
                    time.sleep(POLL)
                    for job in list(self.running):
                        status = job.poll()
                        if status is not None:
                            self.running.remove(job)
                            self._end(job, status)
                    if time.monotonic() - told > self.interval:
                        told = time.monotonic()
                        self.say(self._progress())
            finally:
                self._stop()
        return self.signal

    def _begin(self, cell):
        gpu, env = None, {}
        if self.gpus:
            used = [job.gpu for job in self.running]
            gpu = min(self.gpus, key=used.count)
            env['CUDA_VISIBLE_DEVICES'] = _visible()[gpu] if _visible() else str(gpu)
        elif self.jobs > 1 and get_device() == 'cpu':
            env['OMP_NUM_THREADS'] = str(max(1, _cores() // self.jobs))
        at_once = max(self.jobs, cell.account().get('jobs', 1))
        try:
            made_by = dict(device=device(gpu), versions=versions())
            cell.note(**cell.facts, **made_by, jobs=at_once)
            job = Job(cell, self.train, self.lock, env, gpu)
        except (OSError, CheckpointError) as error:
            return self._fail(cell, f'it cannot be started: {error}')
        self.running.append(job)
        where = f' on GPU {gpu}' if gpu is not None else ''
        since = f', from {job.resumed_from.name}' if job.resumed_from else ''
        self.say(f'{cell.name}: started{where}{since}')

    def _end(self, job, status):
        cell = job.cell
        if status:
            ended = f'exit status {status}' if status > 0 else f'signal {-status}'
            return self._fail(cell, f'it ended with {ended}')
        try:
            cell.note(status='finished')
            result = cell.finish()
        except DataError as error:
            return self._fail(cell, str(error))
        score = cell.metric.say(result['last']['value'])
        self.say(f'{cell.name}: finished, {score} in {clock(result["wall_seconds"])}')

    def _fail(self, cell, why):
        tail = ''.join(f'\n    {line}' for line in cell.log_tail())
        self.failures[cell.name] = f'{why}; end of {cell.folder}/train.log:{tail}'
        cell.note(status='failed')
        self.say(f'{cell.name}: FAILED, {why}')

    def _stop(self):
        """End what runs, kindly at first."""
        for job in self.running:
            job.signal(signal.SIGTERM)
        end = time.monotonic() + GRACE
        while time.monotonic() < end and any(j.poll() is None for j in self.running):
            time.sleep(POLL)
        for job in self.running:
            job.signal(signal.SIGKILL)
        for job in self.running:
            job.cell.note(status='stopped')
        self.running.clear()

    def _progress(self):
        done = sum(bool(cell.result()) for cell in self.cells)
        parts = [f'{done} of {len(self.cells)} finished']
        for job in self.running:
            cell = job.cell
            steps, values = cell.curve()
            at = f'{cell.loop.unit} {steps[-1] if steps else 0}/{cell.loop.length}'
            score = f', {cell.metric.say(values[-1])}' if values else ''
            parts.append(f'{cell.name}: {at}{score}')
        return ' | '.join([*parts, self._left()])

    def _left(self):
        """Estimate from the seconds that a training has taken on the average."""
        seconds = trained = missing = 0
        for cell in self.cells:
            if cell.name in self.failures:
                continue
            validated = cell.curve()[0]
            done = validated[-1] / cell.loop.length if validated else 0
            missing += 0 if cell.result() else 1 - done
            if done:
                trained += done
                seconds += cell.account().get('wall_seconds', 0)
        if not trained:
            return 'time left unknown yet'
        left = seconds / trained * missing / max(1, len(self.running))
        return f'about {clock(left)} left'

    @contextmanager
    def _signals_noted(self):
        numbers = (signal.SIGINT, signal.SIGTERM)

        def note(number, frame):
            self.signal = number

        before = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def clock(seconds: float) -> str:
    """Return hours, minutes and seconds as ``h:mm:ss``."""
    minutes, seconds = divmod(round(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02d}:{seconds:02d}'


def _visible():
    return [x for x in os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if x]


def _cores():
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_gpus(gpus):
    import torch

    count = torch.cuda.device_count()
    wrong = [gpu for gpu in gpus if not 0 <= gpu < count]
    if wrong:
        raise ConfigError(
            f'--gpus {wrong[0]}: torch sees {count} GPUs here, counted from 0; leave '
            '--gpus out for its own choice.'
        )
