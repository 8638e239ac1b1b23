"""LinearProbeHook: probes while training, and leaves the training as it is."""

import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from mmkd.datasets import DigitImages
from mmkd.engine.hooks import LinearProbeHook
from mmkd.errors import ConfigError
from mmkd.testing import toy_classifier
from mmkd.visualization import read_scalars


def config(work_dir, *hooks, epochs=3):
    few = dict(type='mmkd.DigitImages', indices=320)
    digits = dict(type='mmkd.ImageTensors', dataset=few)
    teacher = dict(config=toy_classifier(), allow_untrained=True)
    return dict(
        default_scope='mmpretrain',
        model=dict(
            type='mmkd.Distiller',
            student=toy_classifier(),
            teacher=teacher,
            losses=dict(loss_kd=dict(type='KDLoss', on='logits', tau=4.0)),
        ),
        train_dataloader=dict(
            batch_size=64,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='mmkd.keep_batch'),
            dataset=digits,
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
        custom_hooks=list(hooks),
        default_hooks=dict(checkpoint=None, logger=dict(type='LoggerHook')),
        work_dir=str(work_dir),
        randomness=dict(seed=0),
        experiment_name=work_dir.name,
        log_level='WARNING',
    )


def hook(**kwargs):
    return dict(
        dict(
            type='mmkd.LinearProbeHook',
            dataset='digits',
            interval=2,
            num_train=300,
            num_val=200,
            input_size=32,
        ),
        **kwargs,
    )


def train(cfg):
    from mmengine.config import Config

    runner = Runner.from_cfg(Config(cfg))
    runner.train()
    return runner


def test_training_is_the_same_with_and_without(tmp_path):
    probed = train(config(tmp_path / 'probed', hook()))
    plain = train(config(tmp_path / 'plain'))
    weights = plain.model.state_dict()
    assert all(torch.equal(v, weights[k]) for k, v in probed.model.state_dict().items())
    steps, values = read_scalars(tmp_path / 'probed', 'probe/digits')
    assert steps == [2, 3]  # every second epoch, and the last
    assert all(20 < value <= 100 for value in values)
    assert read_scalars(tmp_path / 'plain', 'probe/digits') == ([], [])


def test_the_figure_is_that_of_the_tool(tmp_path):
    """On the same images the hook and tools/linear_probe.py give one figure."""
    from mmengine.config import Config

    from mmkd.transfer import Network, Target, cached_features, linear_probe

    runner = train(config(tmp_path / 'run', hook(), epochs=1))
    probe = next(h for h in runner.hooks if isinstance(h, LinearProbeHook))
    torch.save(runner.model.state_dict(), tmp_path / 'student.pth')
    cfg = Config(dict(default_scope='mmpretrain', model=toy_classifier()))
    network = Network(cfg, str(tmp_path / 'student.pth'), input_size=32, device='cpu')
    target = Target('digits', *probe.parts, DigitImages.METAINFO['classes'])
    train_part, val_part = (
        cached_features(network, part, ['pooled'], tmp_path / 'cache')
        for part in (target.train, target.val)
    )
    result = linear_probe(train_part, target.train.get_gt_labels(), val_part)
    top1 = 100 * (result.scores.argmax(1) == target.val.get_gt_labels()).mean()
    assert read_scalars(tmp_path / 'run', 'probe/digits')[1] == [pytest.approx(top1)]


def test_the_mode_of_each_module_comes_back(tmp_path):
    runner = train(config(tmp_path / 'run', hook(), epochs=1))
    probe = next(h for h in runner.hooks if isinstance(h, LinearProbeHook))
    student = runner.model.student.train()
    norms = [m for m in student.modules() if isinstance(m, nn.BatchNorm2d)]
    norms[0].eval()  # as with frozen stages
    buffers = {name: value.clone() for name, value in student.named_buffers()}
    probe.probe(student)
    assert [norm.training for norm in norms] == [False] + [True] * (len(norms) - 1)
    assert all(torch.equal(v, buffers[name]) for name, v in student.named_buffers())


@pytest.mark.parametrize(
    'change, says',
    [
        (dict(interval=0), 'interval=0'),
        (dict(dataset='digit'), 'did you mean digits'),
        (dict(dataset='stl10'), 'needs data_root'),
        (dict(num_train=0), 'number=0'),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_built(change, says):
    kwargs = {key: value for key, value in hook(**change).items() if key != 'type'}
    with pytest.raises(ConfigError, match=says):
        LinearProbeHook(**kwargs)


def test_a_student_without_a_size_is_refused_before_training(tmp_path):
    with pytest.raises(ConfigError, match='input-size'):
        train(config(tmp_path / 'run', hook(input_size=None), epochs=1))
