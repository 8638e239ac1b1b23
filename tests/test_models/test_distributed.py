"""Losses whose processes take part in each value, with all and with no rows."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from mmkd.models.losses.luminet_loss import luminet_rows
from mmkd.registry import MODELS

HERE = Path(__file__).resolve().parent
LUMINET = dict(type='LumiNetLoss', alpha=3.0, sync_stats=True)
LSKD = dict(type='LSKDLoss', loss=LUMINET)
#: Losses with collectives, and what comes behind the classes in what they compare.
LOSSES = dict(
    luminet=(LUMINET, ()),
    lskd=(LSKD, ()),
    lskd_twice=(dict(type='LSKDLoss', loss=LSKD), ()),
    sdd=(dict(type='SDDLoss', loss=LUMINET), (5,)),
    sdd_of_lskd=(dict(type='SDDLoss', loss=LSKD), (5,)),
)
#: How many of 8 rows the first process has, of two levels.
SPLITS = [(4, 4), (3, 7), (8, 8), (0, 0), (8, 0), (0, 8)]
#: How many of 4 samples the first process has, in either of two steps of CRD.
CRD_SPLITS = [(2, 2), (3, 1), (0, 4), (4, 0)]
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import test_distributed
test_distributed.work(int(sys.argv[2]), *sys.argv[3:])
"""


def sides(seed, shape=()):
    random = torch.Generator().manual_seed(seed)
    draws = torch.randn(2, 8, 5, *shape, generator=random, dtype=torch.float64)
    return (*draws, torch.randint(5, (8,), generator=random))


def compare(name, rows):
    """Return value and gradients of the ``rows`` that this process has of each level.

    Each row counts as one of eight, so that those of all processes add up.
    """
    arguments, shape = LOSSES[name]
    loss = MODELS.build(dict(arguments))
    total, students = 0, []
    for level, own in enumerate(rows):
        student, teacher, labels = (side[own] for side in sides(level, shape))
        students.append(student.requires_grad_())
        total = total + loss(student, teacher, labels) * len(student) / 8
    total.backward()
    return total.detach(), [student.grad for student in students]


def two_steps_of_crd(parts):
    """Return memories and gradients after steps on parts of two batches.

    Sample 3 is twice in the second. Each sample counts as one of four.
    """
    torch.manual_seed(0)
    arguments = dict(num_samples=12, feat_dim=5, negatives=7)
    loss = MODELS.build(dict(type='CRDLoss', **arguments))
    student, teacher, _ = sides(2)
    loss.fit_to(student, teacher)
    loss.see_training_set(torch.arange(12) % 3)
    # Drawn beforehand, for every sample: processes draw on their own.
    table = loss.negatives.draw(torch.arange(12), 7)
    loss.negatives.draw = lambda index, count: table[index]
    steps = zip([[3, 0, 7, 10], [3, 2, 3, 0]], student.split(4), teacher.split(4))
    for part, (index, *pair) in zip(parts, steps):
        loss.zero_grad()
        index = torch.tensor(index)[part]
        value = loss(*(side[part] for side in pair), index=index)
        (value * len(index) / 4).backward()
    gradients = [parameter.grad for parameter in loss.parameters()]
    return dict(loss.named_buffers()), gradients


def gradient_where_the_other_has_none(rank, rows):
    """Return that of the first process; the student of the second is frozen."""
    student, teacher, _ = sides(0)
    if rank == 1:
        student, teacher = student[:rows], teacher[:rows]
    student.requires_grad_(rank == 0)
    value = MODELS.build(LUMINET)(student, teacher)
    (value + torch.zeros((), requires_grad=True)).backward()
    return student.grad


def work(rank, store, out):
    """Do the part of one of two processes."""
    arguments = dict(rank=rank, world_size=2, timeout=timedelta(seconds=60))
    dist.init_process_group('gloo', f'file://{store}', **arguments)

    def parts(split):
        return [slice(n) if rank == 0 else slice(n, None) for n in split]

    results = {
        (name, split): compare(name, parts(split))
        for name in LOSSES
        for split in SPLITS
    }
    for split in CRD_SPLITS:
        results['crd', split] = two_steps_of_crd(parts(split))
    for rows in (0, 8):
        results[rows] = gradient_where_the_other_has_none(rank, rows)
    torch.save(results, f'{out}{rank}')
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp('processes')
    env = dict(os.environ, PYTHONPATH=str(HERE.parents[1]), OMP_NUM_THREADS='1')
    command = [sys.executable, '-W', 'ignore', '-c', SCRIPT, str(HERE)]
    paths = [str(folder / 'store'), str(folder / 'out')]
    processes = [
        subprocess.Popen([*command, str(rank), *paths], env=env) for rank in range(2)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    return [torch.load(folder / f'out{rank}') for rank in range(2)]


@pytest.mark.parametrize('split', SPLITS, ids=str)
@pytest.mark.parametrize('name', LOSSES)
def test_two_processes_equal_one_with_all_rows(results, name, split):
    wanted, wanted_gradients = compare(name, [slice(0, 8)] * 2)
    values, gradients = zip(*(result[name, split] for result in results))
    torch.testing.assert_close(sum(values), wanted)
    together = [torch.cat(parts) for parts in zip(*gradients)]
    torch.testing.assert_close(together, wanted_gradients)


@pytest.mark.parametrize('split', CRD_SPLITS, ids=str)
def test_two_processes_hold_the_memories_of_one_with_all_samples(results, split):
    memories, gradients = two_steps_of_crd([slice(4)] * 2)
    (first, own), (second, others) = (result['crd', split] for result in results)
    assert first['log_z'].isfinite().all()
    for name, memory in memories.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], memory)
    together = [sum(pair) for pair in zip(own, others)]
    torch.testing.assert_close(together, gradients)


@pytest.mark.parametrize('rows', [0, 8])
def test_a_process_whose_student_needs_no_gradient_is_not_waited_for(results, rows):
    """A pairing that selects nothing may make what it gives of nothing."""
    assert results[0][rows].any() and results[1][rows] is None


def test_statistics_of_one_process_are_another_thing():
    student, teacher, _ = sides(0)
    whole = luminet_rows(student, teacher, 4.0, 3.0).mean()
    halves = [
        luminet_rows(*pair, 4.0, 3.0).mean()
        for pair in zip(student.split(4), teacher.split(4))
    ]
    assert abs(sum(halves) / 2 - whole) > 1e-3
