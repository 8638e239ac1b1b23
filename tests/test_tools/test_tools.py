"""The tools, run as a user runs them."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmkd.datasets import make_digits

ROOT = Path(__file__).resolve().parents[2]
STUDENT = 'configs/quickstart/student.py'
LUMINET = 'configs/quickstart/luminet.py'


def call(*command, status=0, **env):
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore', **env)
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == status, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def tool(name, *arguments, **kwargs):
    return call(sys.executable, f'tools/{name}.py', *arguments, **kwargs)


@pytest.fixture
def refusal(monkeypatch):
    """What a tool ends with, in this process, which has imported everything."""

    def call_here(name, *arguments):
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / f'tools/{name}.py'), run_name='__main__')
        return stopped.value.code

    monkeypatch.setenv('LOCAL_RANK', '0')  # which the tools set for good
    return call_here


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('digits')
    make_digits(root / 'digits', num_train=8, num_val=2)
    root = root / 'digits'
    return root


def options(data, *more, iters=4):
    """Shrink a quickstart config, from the command line."""
    every = [
        f'{name}_dataloader.dataset.{value}'
        for name in ('train', 'val', 'test')
        for value in (f'data_root={data}', 'digits.num_train=8', 'digits.num_val=2')
    ]
    ann_file = f'{data}/annotations/instances_val.json'
    return [
        '--cfg-options',
        *every,
        f'val_evaluator.ann_file={ann_file}',
        f'test_evaluator.ann_file={ann_file}',
        f'train_cfg.max_iters={iters}',
        f'train_cfg.val_interval={iters}',
        'train_dataloader.batch_size=2',
        'default_hooks.checkpoint.interval=2',
        'default_hooks.logger.interval=1',
        *more,
    ]


UNTRAINED = [
    'model.teacher.checkpoint=None',
    'model.teacher.allow_untrained=True',
    # Losses alternate with a feature loss, so that there is something to strip.
    'model.losses.loss_neck.type=FitNetLoss',
    'model.losses.loss_neck.on=backbone',
]


@pytest.fixture(scope='session')
def distilled(data, tmp_path_factory):
    """Train, as the README does; return the work dir and what was printed."""
    folder = tmp_path_factory.mktemp('distilled')
    printed = tool('train', LUMINET, '--work-dir', folder, *options(data, *UNTRAINED))
    return folder, printed


def test_train_logs_losses_and_weights(distilled):
    folder, printed = distilled
    assert (folder / 'iter_4.pth').exists()
    assert re.search(
        r'Iter\(train\) \[4/4\].* loss_luminet: .* weight_luminet: ', printed
    )
    assert 'bbox_mAP' in printed


def test_train_resumes_where_it_stopped(distilled, data):
    folder, _ = distilled
    arguments = ['--work-dir', folder, '--resume']
    printed = tool(
        'train',
        LUMINET,
        *arguments,
        '--no-validate',
        *options(data, *UNTRAINED, iters=6),
    )
    iterations = re.findall(r'Iter\(train\) \[ *(\d)/6\]', printed)
    assert iterations == ['5', '6']


def test_stock_config_tests_the_distilled_student(distilled, data):
    folder, _ = distilled
    out = folder / 'predictions.pkl'
    printed = tool(
        'test',
        STUDENT,
        folder / 'iter_4.pth',
        '--work-dir',
        folder / 'test',
        '--out',
        out,
        *options(data),
    )
    assert 'bbox_mAP' in printed and out.exists()
    assert 'missing keys' not in printed


def test_export_gives_the_stock_students_keys(distilled, monkeypatch, capsys):
    folder, _ = distilled
    whole = torch.load(folder / 'iter_4.pth', weights_only=False)['state_dict']
    assert any(key.startswith('distill.') for key in whole)
    arguments = [LUMINET, folder / 'iter_4.pth', '--out-dir', folder / 'export']
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', ['export_student.py', *map(str, arguments)])
    runpy.run_path('tools/export_student.py', run_name='__main__')
    printed = capsys.readouterr().out
    assert 'luminet_student.pth' in printed
    slim = torch.load(folder / 'export/luminet_student.pth', weights_only=True)
    cfg = Config.fromfile(folder / 'export/luminet_student.py')
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    assert type(model).__name__ == 'FasterRCNN'
    model.load_state_dict(slim['state_dict'])
    assert all(
        torch.equal(whole[key], value) for key, value in slim['state_dict'].items()
    )
    assert len(slim['meta']['dataset_meta']['classes']) == 10


def test_inspect_shows_what_will_be_distilled(data):
    printed = tool('inspect_distill', LUMINET, *options(data, *UNTRAINED))
    for part in (
        'none: random weights',
        'as the student',
        'roi.logits: roi_head.bbox_head',
        '2x11',
        'ConvAdapter, 288',
        'weight(value=1.0, warmup_iters=100)',
    ):
        assert part in printed, printed


def test_errors_are_one_line_and_the_same_before_training(data, refusal):
    more = options(data, *UNTRAINED, 'model.losses.loss_luminet.on=roi.logit')
    printed = tool('train', LUMINET, '--work-dir', data / 'none', *more, status=1)
    line = printed.strip().splitlines()[-1]
    assert line.startswith(
        "error: loss_luminet: on='roi.logit' is no pairing (logits, cells.logits, "
        'roi.logits, roi.boxes, roi.cells, roi.masks)'
    )
    assert 'Traceback' not in printed
    assert refusal('inspect_distill', LUMINET, *more) == line


def test_amp_without_a_gpu_says_so(data, refusal):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    line = refusal('train', STUDENT, '--amp', *options(data))
    assert line.startswith('error: --amp needs a GPU')


def test_two_processes_agree_resume_and_pass_the_end_of_a_schedule(data, tmp_path):
    """Through dist_train.sh; a loss weight is zero from the third iteration on."""
    more = [
        *UNTRAINED,
        'model.losses.loss_neck.weight.stop=2',
        'model.losses.loss_neck.weight.unit=iter',
        'default_hooks.ranks.type=mmkd.RanksAgreeHook',
    ]
    port = str(29500 + os.getpid() % 1000)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])

    def train(iters, *flags):
        command = ['bash', 'tools/dist_train.sh', LUMINET, '2', '--work-dir', tmp_path]
        return call(
            *command,
            '--no-validate',
            *flags,
            *options(data, *more, iters=iters),
            PORT=port,
            PATH=path,
        )

    printed = train(4)
    assert 'weight_neck: 0.0000' in printed and '[4/4]' in printed
    assert printed.count('ranks agree at iteration 4') == 1
    printed = train(6, '--resume')
    assert re.findall(r'Iter\(train\) \[ *(\d)/6\]', printed) == ['5', '6']
    assert 'ranks agree at iteration 6' in printed
