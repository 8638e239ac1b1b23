"""A family, a pairing and a loss from outside: what holds of those inside."""

from pathlib import Path

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner

from mmkd.configs import build_model, load_config
from mmkd.errors import ConfigError
from mmkd.models.families import family_of

FOLDER = Path(__file__).parent
UNTRAINED = {
    'model.teacher.checkpoint': None,
    'model.teacher.allow_untrained': True,
    'model.teacher.config': str(FOLDER / 'teacher.py'),
}


def distiller(**changes):
    torch.manual_seed(0)
    options = dict(UNTRAINED, **changes)
    return build_model(load_config(str(FOLDER / 'distilled.py'), options)).train()


def batch():
    from projects.keypoints.dots_dataset import DotsDataset

    return pseudo_collate([DotsDataset()[index] for index in range(6)])


def losses_of(model, data=None):
    data = model.data_preprocessor(data or batch(), True)
    return model(**data, mode='loss')


def test_the_family_is_found():
    model = distiller()
    assert type(family_of(model.student)).__name__ == 'Keypoints'
    assert model.distill['loss_place'].shapes == [((6, 1024), (6, 1024))]
    assert model.distill['loss_body'].shapes == [((2, 8, 32, 32), (2, 32, 32, 32))]


def test_rows_weigh_as_keypoints_are_seen():
    model, data = distiller(), batch()
    maps = {}
    for role, network in dict(
        student=model.student, teacher=model.teachers['teacher'].model
    ).items():
        inputs = network.data_preprocessor(data, True)['inputs']
        maps[role] = network(inputs).flatten(2).flatten(0, 1).double()
    visible = torch.cat([sample.visible for sample in data['data_samples']])
    assert 0 < visible.sum() < len(visible)
    wanted = (maps['teacher'] / 0.5).softmax(1)
    rows = -(wanted * maps['student'].log_softmax(1)).sum(1)
    expected = 0.5 * rows[visible].mean()
    value = losses_of(model)['loss_place']
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    value.backward()
    assert model.student.body[0].weight.grad.any()


def test_no_keypoint_in_sight_is_a_zero_in_the_graph():
    model, data = distiller(), batch()
    for sample in data['data_samples']:
        sample.visible = torch.zeros(3, dtype=torch.bool)
    value = losses_of(model, data)['loss_place']
    assert value.item() == 0 and value.requires_grad


@pytest.mark.parametrize('kind', ['KDLoss', 'LumiNetLoss', 'DKDLoss'])
def test_an_equal_teacher_gives_zero_under_the_shipped_losses(kind):
    options = dict(UNTRAINED, **{'model.teacher.config': str(FOLDER / 'student.py')})
    cfg = load_config(str(FOLDER / 'distilled.py'), options)
    cfg.model.losses = dict(loss_it=dict(type=kind, on='keypoints.maps'))
    model = build_model(cfg)
    model.teachers['teacher'].model.load_state_dict(model.student.state_dict())
    assert losses_of(model)['loss_it'].item() == pytest.approx(0, abs=1e-6)


def test_losses_without_rows_are_refused_before_training():
    options = {'model.losses.loss_body.type': 'DISTLoss'}
    options['model.losses.loss_body.on'] = 'keypoints.maps'
    with pytest.raises(ConfigError, match='weights its rows, and DISTLoss'):
        distiller(**options)


def test_it_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(FOLDER.parents[1])
    for name, options in (
        ('teacher', {'train_cfg.max_epochs': 1}),
        ('distilled', {'train_cfg.max_epochs': 2}),
    ):
        cfg = load_config(str(FOLDER / f'{name}.py'), options)
        cfg.work_dir = str(tmp_path / name)
        if name == 'distilled':
            cfg.model.teacher.checkpoint = str(tmp_path / 'teacher/epoch_1.pth')
        runner = Runner.from_cfg(cfg)
        runner.train()
    weights = torch.load(tmp_path / 'distilled/epoch_2.pth', weights_only=False)
    kept = set(weights['state_dict'])
    assert {key for key in kept if not key.startswith('distill.')} == set(
        runner.model.student.state_dict()
    )
