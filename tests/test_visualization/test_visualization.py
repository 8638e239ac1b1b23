"""Tables, curves and pictures of made-up figures."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmkd import Distiller
from mmkd.errors import DataError
from mmkd.testing import classification_batch, toy_classifier
from mmkd.visualization import (
    Artifact,
    RunLog,
    curves_figure,
    draw_curves,
    draw_detections,
    markdown_table,
    new_figure,
    read_artifacts,
    read_scalars,
)


def test_table_is_aligned_and_keeps_the_figures():
    rows = {
        'a teacher': dict(AP=0.5, size=1234567, ms=28.71),
        'b': dict(AP=0.25, size=9, ms=3.0),
    }
    assert markdown_table(rows).splitlines() == [
        '|           |    AP |      size |   ms |',
        '| --------- | ----: | --------: | ---: |',
        '| a teacher | 0.500 | 1,234,567 | 28.7 |',
        '| b         | 0.250 |         9 | 3.00 |',
    ]


def test_scalars_of_a_killed_and_resumed_run(tmp_path):
    for name, lines in (
        ('1', '{"loss": 3, "step": 20}\n{"loss": 2, "step": 40}\n{"lo'),
        ('2', '{"loss": 5, "loss_kd": 4, "step": 40}\n{"AP": 0.5, "step": 40}\n'),
    ):
        path = tmp_path / name / 'vis_data/scalars.json'
        path.parent.mkdir(parents=True)
        path.write_text(lines)
    assert read_scalars(tmp_path, 'loss') == ([20, 40], [3, 5])
    assert read_scalars(tmp_path, 'loss', less='loss_kd') == ([20, 40], [3, 1])
    assert read_scalars(tmp_path, 'AP') == ([40], [0.5])
    assert read_scalars(tmp_path, 'nothing') == ([], [])


@pytest.mark.parametrize(
    'name', ['loss_kd', 'kd_loss', 'kdloss', 'loss_kd_loss', 'weight_loss']
)
def test_the_loss_without_what_distillation_adds(tmp_path, name):
    """A distillation loss may have any name with ``loss`` in it."""
    weight = name.replace('loss', 'weight')
    other = {'loss_iou': 1.0, 'weight_decay': 0.5, 'kd_weights': 3.0, 'lr': 0.1}
    rows = [
        {'loss': 7.0, name: 4.0, weight: 2.0, 'iter': 10, 'step': 10, **other},
        {'loss': 6.0, 'iter': 20, 'step': 20, **other},  # resumed without it
        # A validation's own, at a step that training has as well.
        {'val_loss': 5.0, 'val_weight': 1.0, 'step': 20},
    ]
    path = tmp_path / '1/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join(map(json.dumps, rows)))
    assert RunLog(tmp_path).own_loss() == ([10, 20], [3.0, 6.0])


def test_the_log_of_a_distiller_tells_its_losses(tmp_path):
    teacher = dict(config=toy_classifier(), allow_untrained=True)
    losses = {
        name: dict(type='KDLoss', on='logits', tau=4.0, weight=0.5)
        for name in ('loss_kd', 'again_loss')
    }
    model = Distiller(toy_classifier(), losses, teacher).train()
    batch = model.data_preprocessor(classification_batch(), True)
    logged = model.parse_losses(model(**batch, mode='loss'))[1]
    row = {key: value.item() for key, value in logged.items()}
    path = tmp_path / '1/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(dict(row, iter=1, step=1)))
    own = RunLog(tmp_path).own_loss()
    assert own == ([1], [pytest.approx(row['loss_student'])])


def test_curves_are_drawn(tmp_path):
    curve = ([1, 2], [0.1, 0.2])
    draw_curves(tmp_path / 'c.png', {'AP': dict(a=curve), 'loss': dict(a=curve)}, 't')
    assert cv2.imread(str(tmp_path / 'c.png')).std() > 0


def test_many_curves_leave_room_for_themselves(tmp_path):
    """Two horizontal lines, low and high, in the place where the plot must be."""
    curves = {f'method {n}': ([1, 2], [n % 2, n % 2]) for n in range(22)}
    draw_curves(tmp_path / 'c.png', {'top-1 (%)': curves}, 't', xlabel='epoch')
    picture = cv2.imread(str(tmp_path / 'c.png')).min(axis=2)
    coloured = (picture < 200).sum(axis=1)
    # Lines across at least half of the picture, far from each other.
    across = (coloured > picture.shape[1] / 2).nonzero()[0]
    assert across.max() - across.min() > picture.shape[0] / 2


@pytest.mark.parametrize('score, drawn', [(0.9, True), (0.1, False)])
def test_only_sure_detections_are_drawn(tmp_path, score, drawn):
    cv2.imwrite(str(tmp_path / 'image.png'), np.full((64, 64, 3), 255, np.uint8))
    sample = DetDataSample(metainfo=dict(img_path=str(tmp_path / 'image.png')))
    sample.gt_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
    )
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 20.0, 40.0, 50.0]]),
        labels=torch.tensor([1]),
        scores=torch.tensor([score]),
    )
    draw_detections(tmp_path / 'd.png', dict(model=[sample]), ('cat', 'dog'))
    picture = cv2.imread(str(tmp_path / 'd.png')).astype(int)
    left, right = np.array_split(np.ptp(picture, axis=2) > 60, 2, axis=1)
    assert not left.any() and right.any() == drawn


def test_an_artifact_comes_back_as_it_was_written(tmp_path):
    figure = new_figure(2, 1)
    artifact = Artifact('one', 'A title', 'How to read it', {'a': {'b': 1}}, 'c')
    path = artifact.write(tmp_path, figure)
    assert Artifact.read(path) == artifact and artifact.picture == 'one.png'
    (tmp_path / 'other.json').write_text('{"format": "another"}')
    (tmp_path / 'broken.json').write_text('{')
    assert read_artifacts(tmp_path) == {path: artifact}
    path.write_text('{"format": "mmkd.artifact/1", "name": "one"}')
    with pytest.raises(DataError, match='one.json is damaged'):
        Artifact.read(path)


def test_small_numbers_are_no_zeros_in_a_table():
    assert '4.0e-04' in markdown_table({'p': {'value': 0.0004}})


def test_a_row_of_a_table_has_one_precision():
    row = dict(a=1.6021, b=2.1, c=0.19, d=97.25)
    assert markdown_table({'x': row}).splitlines()[-1].split(' | ')[1:] == [
        '1.60',
        '2.10',
        '0.190',
        '97.2 |',
    ]


@pytest.mark.parametrize('panels', range(1, 11))
@pytest.mark.parametrize('runs', [2, 12])
def test_curves_fill_their_picture(panels, runs):
    curves = {f'run {run}': ([1, 2, 3], [3.0, 2.0, 1.0]) for run in range(runs)}
    figure = curves_figure({f'panel {i}': curves for i in range(panels)})
    assert figure.get_figwidth() * figure.dpi < 2000
    empty = [axis for axis in figure.axes if not axis.axison]
    assert len(empty) <= 1


def test_epochs_are_whole():
    figure = curves_figure(
        {'loss': {'a': ([1, 2, 3], [3.0, 2.0, 1.0])}}, xlabel='epoch'
    )
    ticks = figure.axes[0].get_xticks()
    assert len(ticks) > 1 and all(tick == round(tick) for tick in ticks)


def test_a_step_that_no_picture_can_show_is_passed_over(tmp_path):
    path = tmp_path / '1/vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(f'{{"loss": 3, "step": {10**400}}}\n{{"loss": 2, "step": 4}}\n')
    assert read_scalars(tmp_path, 'loss') == ([4], [2])
