"""Statistics over processes: two of them equal one with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from mmkd.models.losses.luminet_loss import luminet_rows

SCRIPT = """
import sys
import torch
import torch.distributed as dist
from mmkd.models.losses.luminet_loss import luminet_rows

rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group('gloo', f'file://{store}', rank=rank, world_size=2)
torch.manual_seed(0)
student, teacher = torch.randn(2, 8, 5, dtype=torch.float64)
half = slice(4 * rank, 4 * rank + 4)
weight = torch.full((5,), 1.0, dtype=torch.float64, requires_grad=True)
logits = student[half] * weight
logits = logits + weight.square() * torch.arange(20.0).view(4, 5)
loss = luminet_rows(logits, teacher[half], 4.0, 3.0, sync_stats=True).mean()
loss.backward()
# As DDP does: the mean over processes.
for value in (weight.grad, loss.detach_()):
    dist.all_reduce(value)
    value /= 2
if rank == 0:
    torch.save(dict(loss=loss, gradient=weight.grad), out)
dist.destroy_process_group()
"""


def test_synchronised_statistics_equal_one_process_with_the_whole_batch(tmp_path):
    root = Path(__file__).resolve().parents[2]
    env = dict(os.environ, PYTHONPATH=str(root), OMP_NUM_THREADS='1')
    out = tmp_path / 'out.pth'
    command = [sys.executable, '-W', 'ignore', '-c', SCRIPT]
    arguments = [str(tmp_path / 'store'), str(out)]
    processes = [
        subprocess.Popen([*command, str(rank), *arguments], env=env)
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    found = torch.load(out)

    torch.manual_seed(0)
    student, teacher = torch.randn(2, 8, 5, dtype=torch.float64)
    weight = torch.full((5,), 1.0, dtype=torch.float64, requires_grad=True)
    shift = torch.arange(20.0).view(4, 5).repeat(2, 1)
    logits = student * weight + weight.square() * shift
    loss = luminet_rows(logits, teacher, 4.0, 3.0).mean()
    loss.backward()
    torch.testing.assert_close(found['loss'], loss.detach())
    torch.testing.assert_close(found['gradient'], weight.grad)
    halves = [
        luminet_rows(part, other, 4.0, 3.0).mean()
        for part, other in zip(logits.split(4), teacher.split(4))
    ]
    assert abs(sum(halves) / 2 - loss) > 1e-3  # local statistics are another thing
