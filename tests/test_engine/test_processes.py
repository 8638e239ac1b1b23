"""What a launcher has to set, and which of several processes speaks."""

import os
import subprocess
import sys

import pytest

from mmkd.engine import processes
from mmkd.engine.processes import VARIABLES, check_launcher, end
from mmkd.errors import ConfigError


@pytest.fixture
def alone(monkeypatch):
    for name in {name for names in VARIABLES.values() for name in names}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(processes.LAST_WORDS, raising=False)
    return monkeypatch


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_launcher_without_its_environment(launcher, alone):
    alone.setattr('torch.cuda.device_count', lambda: 0)
    for name in VARIABLES[launcher]:
        with pytest.raises(
            ConfigError, match=f'--launcher {launcher}: .* {name} is not set; start'
        ):
            check_launcher(launcher)
        place = name in processes.PLACES
        if not place:
            alone.setenv(name, 'first')
            with pytest.raises(ConfigError, match=f"{name} is 'first', not a number"):
                check_launcher(launcher)
        alone.setenv(name, 'node' if place else '1')
    check_launcher(launcher)
    check_launcher('none')


def test_more_processes_than_gpus(alone):
    alone.setattr('torch.cuda.device_count', lambda: 2)
    for name in VARIABLES['pytorch']:
        alone.setenv(name, '1')
    check_launcher('pytorch')
    alone.setenv('LOCAL_RANK', '2')
    with pytest.raises(ConfigError, match='process 3 .*torch sees 2; start 2'):
        check_launcher('pytorch')


class Ended(BaseException):
    pass


@pytest.fixture
def ended(alone):
    """Ends as a process would, and the seconds it waited for the first one."""
    waited = []

    def leave(status):
        raise Ended(status)

    alone.setattr(processes.os, '_exit', leave)
    alone.setattr(processes.time, 'sleep', waited.append)
    return waited


@pytest.mark.parametrize('rank', [0, 1])
@pytest.mark.parametrize('kind', ['RANK WORLD_SIZE', 'SLURM_PROCID SLURM_NTASKS'])
def test_one_of_several_processes_speaks(rank, kind, ended, monkeypatch, tmp_path):
    for name, value in zip(kind.split(), (rank, 2)):
        monkeypatch.setenv(name, str(value))
    file = tmp_path / 'words'
    monkeypatch.setenv(processes.LAST_WORDS, str(file))
    for words in ('first', 'second'):
        with pytest.raises(Ended, match='3'):
            end(words, 3)
    assert file.read_text() == 'first\n'
    assert ended == [processes.PATIENCE] * 2 * rank


def test_a_single_process_ends_as_others_do(alone, capsys):
    with pytest.raises(SystemExit, match='^words$'):
        end('words', 1)
    with pytest.raises(SystemExit) as stopped:
        end('words', 130)
    assert stopped.value.code == 130 and capsys.readouterr().err == 'words\n'


SCRIPT = """
import os, time
from mmkd.engine.launch import run
from mmkd.errors import ConfigError

def main():
    if os.environ['RANK'] == '1':
        raise ConfigError('this is why.')
    time.sleep(100)  # as if it waited for the other

run(main)
"""


def test_a_process_that_fails_ends_all_and_has_the_last_line(tmp_path, alone):
    script = tmp_path / 'script.py'
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, '-m', 'mmkd.engine.processes', '--nproc_per_node=2']
        + [f'--master_port={29500 + os.getpid() % 1000}', str(script)],
        capture_output=True,
        text=True,
        timeout=80,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == 'error: this is why.'
    assert done.stderr.count('this is why') == 1 and 'Traceback' not in done.stderr
