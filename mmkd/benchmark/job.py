"""A training in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Dict, Optional

from mmkd.processes import die_with
from mmkd.provenance import revision

from .cell import Cell

ACCOUNT_EVERY = 2.0  # seconds


class Job:
    """Runs a cell, from where it stopped, until it ends or is ended.

    The training does not outlive this process, however that ends (on Linux): two of
    them would write to one folder.

    Args:
        cell (Cell): What to train.
        train (Path): ``tools/train.py``.
        lock (int): Descriptor to inherit, see :func:`mmkd.locks.locked`.
        env (dict[str, str]): Variables to set.
        gpu (int, optional): The one that ``env`` chooses.
    """

    def __init__(
        self,
        cell: Cell,
        train: Path,
        lock: int,
        env: Dict[str, str],
        gpu: Optional[int] = None,
    ) -> None:
        self.cell, self.gpu = cell, gpu
        account = cell.account()
        self._before = account.get('wall_seconds', 0.0)
        self.resumed_from = cell.resume_point()
        revisions = account.get('revisions', [])
        cell.note(
            status='running',
            wall_seconds=self._before,
            revisions=[*dict.fromkeys([*revisions, revision()])],
        )
        cell.prepare()
        command = [sys.executable, str(train), str(cell.config)]
        command += ['--work-dir', str(cell.folder)]
        if self.resumed_from:
            command += ['--resume', str(self.resumed_from)]
        self._start = self._noted = time.monotonic()
        with open(cell.folder / 'train.log', 'ab') as log:
            log.write(f'--- {time.ctime()}: {" ".join(command)}\n'.encode())
            log.flush()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                pass_fds=(lock,),
                start_new_session=True,
                preexec_fn=partial(die_with, os.getpid()),
            )

    @property
    def seconds(self) -> float:
        """Wall time of the cell, with its earlier parts."""
        return self._before + time.monotonic() - self._start

    def poll(self) -> Optional[int]:
        """Return the exit status, None while it runs; keep the account of time."""
        status = self._process.poll()
        if status is not None or time.monotonic() - self._noted > ACCOUNT_EVERY:
            self._noted = time.monotonic()
            self.cell.note(wall_seconds=round(self.seconds, 1))
        if status is not None:
            self.signal(signal.SIGKILL)  # what it may have left behind
        return status

    def signal(self, number: int) -> None:
        """Send a signal to the training and its data loader's workers."""
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):  # all of them have ended
            pass
