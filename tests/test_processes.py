"""Which process is the first, and that none outlives its parent."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from mmkd.processes import die_with, is_first

FORK = multiprocessing.get_context('fork')
pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='prctl is of Linux')


@pytest.mark.parametrize(
    'launcher, rank, first',
    [('none', '3', True), ('pytorch', '0', True), ('pytorch', '3', False)],
)
def test_the_first_of_a_training(monkeypatch, launcher, rank, first):
    monkeypatch.setenv('RANK', rank)
    assert is_first(launcher) is first
    assert is_first('slurm')


def test_a_parent_that_has_ended_before():
    process = FORK.Process(target=die_with, args=(os.getpid() + 1,))
    process.start()
    process.join(10)
    assert process.exitcode == -signal.SIGKILL


def test_a_parent_that_ends_later(tmp_path):
    """A process that sleeps ends with the one that began it."""

    def child():
        die_with(os.getppid())
        (tmp_path / 'pid').write_text(str(os.getpid()))
        time.sleep(60)

    def parent():
        FORK.Process(target=child).start()
        while not (tmp_path / 'pid').exists() or not (tmp_path / 'pid').read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=parent)
    process.start()
    process.join(10)
    assert process.exitcode == -signal.SIGKILL
    pid = (tmp_path / 'pid').read_text()
    end = time.monotonic() + 10
    while Path('/proc', pid).exists() and 'Z' not in _state(pid):
        assert time.monotonic() < end
        time.sleep(0.05)


def _state(pid):
    try:
        return Path('/proc', pid, 'stat').read_text().rpartition(')')[2].split()[0]
    except FileNotFoundError:
        return 'Z'
