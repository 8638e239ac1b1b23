"""The processes of a distributed run: what starts them, and which of them speaks.

``python -m mmkd.engine.processes`` is torchrun, but for its page about a failed
process: where one has said in a sentence why it ends, that is the last line.
"""

import os
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from mmkd.errors import ConfigError

#: What a launcher sets in each process; those that name no place are numbers.
VARIABLES = dict(
    none=(),
    pytorch=('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'),
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
    mpi=(
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_SIZE',
        'OMPI_COMM_WORLD_LOCAL_RANK',
        'MASTER_ADDR',
    ),
)
PLACES = ('MASTER_ADDR', 'SLURM_NODELIST')
STARTED_BY = dict(
    pytorch='tools/dist_train.sh or torchrun',
    slurm='tools/slurm_train.sh',
    mpi='mpirun',
)
#: Seconds that others wait for the first process to say what ends all of them.
PATIENCE = 3.0
#: Names the file of the last words of a run's processes.
LAST_WORDS = 'MMKD_LAST_WORDS'


def check_launcher(launcher: str) -> None:
    """Refuse a launcher that has not started this process.

    Args:
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        ConfigError: A variable that it sets is missing, or is no number; or this
            machine has fewer GPUs than processes.
    """
    for name in VARIABLES[launcher]:
        value = os.environ.get(name)
        if value is None or not (name in PLACES or value.isdigit()):
            got = 'is not set' if value is None else f'is {value!r}, not a number'
            raise ConfigError(
                f'--launcher {launcher}: the environment variable {name} {got}; start '
                f'the processes with {STARTED_BY[launcher]}, or leave --launcher out '
                'for a single one.'
            )
    if launcher == 'pytorch':
        import torch

        gpus, place = torch.cuda.device_count(), int(os.environ['LOCAL_RANK'])
        if 0 < gpus <= place:
            raise ConfigError(
                f'--launcher pytorch: process {place + 1} of this machine has no GPU '
                f'of its own, as torch sees {gpus}; start {gpus} processes.'
            )


def end(words: str, status: int) -> NoReturn:
    """End this process, and with it a distributed run, in one line on stderr.

    The first process speaks. Another one does so where the first has nothing to say
    within a few seconds; all other processes are ended by the launcher.
    """
    rank, count = _rank()
    if count == 1 and status == 1:
        sys.exit(words)
    if count == 1:
        print(words, file=sys.stderr)
        sys.exit(status)
    if rank:
        time.sleep(PATIENCE)
    file = os.environ.get(LAST_WORDS)
    try:
        with open(file, 'x') if file else open(2, 'w', closefd=False) as out:
            out.write(f'{words}\n')
    except FileExistsError:
        pass  # another one was faster
    sys.stdout.flush()
    # The interpreter's own end could wait for others, or abort in gloo's threads.
    os._exit(status)


def _rank():
    """Return the number of this process and how many there are."""
    dist = sys.modules.get('torch.distributed')
    if dist is not None and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    for rank, count in (names[:2] for names in VARIABLES.values() if names):
        values = [os.environ.get(name, '') for name in (rank, count)]
        if all(value.isdigit() for value in values):
            return int(values[0]), int(values[1])
    return 0, 1


def torchrun() -> None:
    """Call torchrun, and put the last words of its processes last."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    with TemporaryDirectory() as folder:
        words = Path(folder) / 'last_words'
        os.environ[LAST_WORDS] = str(words)
        try:
            run.main()
        except (ChildFailedError, SignalException) as error:
            stopped = getattr(error, 'sigval', None)
            if not words.exists() and stopped is None:
                raise
            said = words.read_text() if words.exists() else 'interrupted\n'
            status = 128 + stopped if stopped else _status(error)
            print(said, end='', file=sys.stderr, flush=True)
            sys.exit(status)


def _status(error) -> int:
    """Return the status of the process that failed first."""
    status = error.get_first_failure()[1].exitcode
    return status if status > 0 else 128 - status


if __name__ == '__main__':
    signal.signal(signal.SIGINT, signal.default_int_handler)
    torchrun()
