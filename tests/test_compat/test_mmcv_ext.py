"""mmcv-lite beside mmdet: the stand-in for ``mmcv._ext``."""

import importlib
import sys

import mmcv
import pytest
import torch
from mmcv.utils import ext_loader
from mmengine import Config

from mmkd.compat import mmcv_ext

lite_only = pytest.mark.skipif(
    not mmcv_ext.in_use(), reason='the compiled mmcv is installed'
)


@lite_only
def test_looks_like_a_module():
    ext = importlib.import_module('mmcv._ext')
    assert mmcv._ext is ext
    assert ext_loader.check_ops_exist()
    assert ext.__spec__.name == ext.__name__ == 'mmcv._ext'
    assert not hasattr(ext, '__path__')
    assert not hasattr(ext, '__file__')


@lite_only
def test_other_operators_say_how_to_get_them():
    ext = ext_loader.load_ext('_ext', ['deform_roi_pool_forward'])
    with pytest.raises(NotImplementedError) as error:
        ext.deform_roi_pool_forward(1, groups=2)
    assert "'deform_roi_pool_forward'" in str(error.value)
    assert 'pip install "mmcv>=2.0.1,<2.2"' in str(error.value)


@lite_only
def test_installs_once():
    ext = sys.modules['mmcv._ext']
    finders = list(sys.meta_path)
    mmcv_ext.install()
    assert sys.meta_path == finders
    assert importlib.import_module('mmcv._ext') is ext


def test_compiled_mmcv_is_left_alone(monkeypatch, tmp_path):
    tmp_path.joinpath('_ext.py').write_text('def nms(): ...')
    monkeypatch.setattr(mmcv, '__path__', [*mmcv.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, 'mmcv._ext')
    assert not mmcv_ext.in_use()
    assert 'mmcv._ext' not in sys.modules


def test_stock_faster_rcnn_trains_and_predicts(tmp_path):
    from mmdet.registry import MODELS
    from mmdet.testing import demo_mm_inputs
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    file = tmp_path / 'shrunken.py'
    file.write_text("_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'")
    cfg = Config.fromfile(file).model
    cfg.backbone.update(depth=18, base_channels=4, init_cfg=None)
    cfg.backbone.norm_cfg.requires_grad = True
    cfg.neck.update(in_channels=[4, 8, 16, 32], out_channels=8)
    cfg.rpn_head.update(in_channels=8, feat_channels=8)
    cfg.roi_head.bbox_roi_extractor.out_channels = 8
    cfg.roi_head.bbox_head.update(in_channels=8, fc_out_channels=8, num_classes=3)
    cfg.test_cfg.rcnn.score_thr = 0.0
    torch.manual_seed(0)
    detector = MODELS.build(cfg)
    data = demo_mm_inputs(2, [[3, 64, 64], [3, 64, 96]], num_classes=3)
    data = detector.data_preprocessor(data, training=True)
    losses = detector(**data, mode='loss')
    detector.parse_losses(losses)[0].backward()
    # Through RoIAlign's backward pass, which no other loss of the RoI head avoids.
    assert detector.neck.fpn_convs[0].conv.weight.grad.abs().sum() > 0
    detector.eval()
    with torch.no_grad():
        results = detector(**data, mode='predict')
    boxes = results[0].pred_instances
    assert 0 < len(boxes) <= 100
    assert (boxes.scores[:-1] >= boxes.scores[1:]).all()
