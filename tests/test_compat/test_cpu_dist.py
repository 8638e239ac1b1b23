"""Launched runs on CPUs."""

import os
import socket
import subprocess
import sys

import pytest
import torch
from mmengine import Config
from torch import distributed

from mmkd.compat import cpu_dist

SCRIPT = """
import sys

import torch
from mmengine import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmkd.compat.cpu_dist import prepare_cpu_launch


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, x, mode):
        return {'loss': (self.linear(x) - x).square().mean()}


cfg = Config()
prepare_cpu_launch(cfg, 'pytorch')
dataset = [dict(x=torch.tensor([float(i)])) for i in range(8)]
runner = Runner(
    model=Toy(),
    work_dir=sys.argv[1],
    train_dataloader=dict(
        batch_size=2,
        dataset=dataset,
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
    ),
    train_cfg=dict(by_epoch=True, max_epochs=2),
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
    launcher='pytorch',
    cfg=cfg,
    default_scope=None,
)
runner.train()
linear = runner.model.module.linear
torch.save((runner.rank, runner.iter, linear.state_dict()), sys.argv[2])
torch.distributed.destroy_process_group()
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_two_processes_train_one_model(tmp_path):
    script = tmp_path / 'train.py'
    script.write_text(SCRIPT)
    common = dict(
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=free_port(),
        WORLD_SIZE='2',
        OMP_NUM_THREADS='1',
        MKL_NUM_THREADS='1',
    )
    processes = [
        subprocess.Popen(
            [sys.executable, script, tmp_path / 'run', tmp_path / f'{rank}.pth'],
            env={**os.environ, **common, 'RANK': rank, 'LOCAL_RANK': rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in '01'
    ]
    try:
        for process in processes:
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0, output
    finally:
        for process in processes:
            process.kill()
    results = [torch.load(tmp_path / f'{rank}.pth') for rank in '01']
    # Each rank saw half of the 8 samples, 2 at a time, twice.
    assert [result[:2] for result in results] == [(0, 4), (1, 4)]
    torch.testing.assert_close(results[0][2], results[1][2], rtol=0, atol=0)


@pytest.fixture
def launched(monkeypatch):
    """A launch of one process by any launcher, in this process."""
    variables = dict(
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=free_port(),
        OMP_NUM_THREADS='1',
        MKL_NUM_THREADS='1',
        RANK='0',
        WORLD_SIZE='1',
        LOCAL_RANK='0',
        SLURM_PROCID='0',
        SLURM_NTASKS='1',
        SLURM_LOCALID='0',
        SLURM_NODELIST='node',
        OMPI_COMM_WORLD_RANK='0',
        OMPI_COMM_WORLD_SIZE='1',
        OMPI_COMM_WORLD_LOCAL_RANK='0',
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cpu_dist, 'get_device', lambda: 'cpu')
    yield
    if distributed.is_initialized():
        distributed.destroy_process_group()


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_launchers(launched, launcher):
    cfg = Config(
        dict(
            env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=60)),
            find_unused_parameters=True,
        )
    )
    cpu_dist.prepare_cpu_launch(cfg, launcher)
    assert distributed.get_backend() == 'gloo'
    assert cfg.model_wrapper_cfg == dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=True,
    )


def test_the_wrapper_of_the_user_stays(launched):
    wrapper = dict(type='MMDistributedDataParallel', device_ids=None, static_graph=True)
    cfg = Config(dict(model_wrapper_cfg=wrapper))
    cpu_dist.prepare_cpu_launch(cfg, 'pytorch')
    assert cfg.model_wrapper_cfg == wrapper


@pytest.mark.parametrize('launcher, device', [('pytorch', 'cuda'), ('none', 'cpu')])
def test_nothing_to_do(launched, monkeypatch, launcher, device):
    monkeypatch.setattr(cpu_dist, 'get_device', lambda: device)
    cfg = Config()
    cpu_dist.prepare_cpu_launch(cfg, launcher)
    assert not distributed.is_initialized()
    assert 'model_wrapper_cfg' not in cfg
