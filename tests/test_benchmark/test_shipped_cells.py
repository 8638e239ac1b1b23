"""What a benchmark's table calls the shipped detectors, and by what it judges them."""

from pathlib import Path

import pytest

from mmkd.benchmark.metric import metric_of
from mmkd.benchmark.plan import _name
from mmkd.configs import load_config

COCO = Path(__file__).parents[2] / 'configs/coco'


@pytest.mark.parametrize('path', sorted(path.name for path in COCO.glob('*.py')))
def test_each_coco_config_is_a_cell_beside_its_own_student(path):
    cfg = load_config(str(COCO / path))
    method, pair = _name(str(COCO / path), cfg)
    assert metric_of(cfg).key == 'coco/bbox_mAP'
    students = {'frcnn', 'frcnn_r50_mv2', 'mask_rcnn', 'cascade_rcnn'}
    assert pair in students and 'rcnn' not in method and 'frcnn' not in method
    if cfg.model.type == 'mmkd.Distiller':
        alone = f'none_{pair.replace("_r50", "")}.py'
        base = load_config(str(COCO / alone))
        assert _name(str(COCO / alone), base) == ('none', pair)
        assert base.model.backbone == cfg.model.student.backbone
