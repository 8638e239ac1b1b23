"""The processes of one training: which is the first, and that none is left behind."""

import ctypes
import os
import signal
import sys

#: Where a launcher tells a process which it is.
RANKS = dict(pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None) if sys.platform == 'linux' else None


def is_first(launcher: str) -> bool:
    """Tell whether this process is the first of a training, before they are joined.

    Args:
        launcher (str): What started them: a key of :data:`RANKS`, or ``'none'``.
    """
    return os.environ.get(RANKS.get(launcher, ''), '0') == '0'


def die_with(parent: int) -> None:
    """Have this process killed when its parent ends, however that ends (on Linux).

    Args:
        parent (int): The parent's process id. If it has ended already, so does this.
    """
    if _libc is None:
        return
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
