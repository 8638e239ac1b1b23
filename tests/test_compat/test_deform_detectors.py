"""Stock detectors with deformable convolutions train and predict, on any mmcv."""

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper

from mmkd.configs import build_model
from mmkd.testing import detection_batch, shrink

#: Stock config: what learns through the operators, its offsets among them.
DETECTORS = {
    'reppoints/reppoints-moment_r50_fpn_1x_coco.py': [
        'bbox_head.reppoints_cls_conv.weight',
        'bbox_head.reppoints_pts_refine_conv.weight',
    ],
    'tood/tood_r50_fpn_1x_coco.py': ['bbox_head.reg_offset_module.2.weight'],
    'vfnet/vfnet_r50_fpn_1x_coco.py': [
        'bbox_head.vfnet_cls_dconv.weight',
        'bbox_head.vfnet_reg_refine_dconv.weight',
    ],
    'ddod/ddod_r50_fpn_1x_coco.py': [
        'bbox_head.cls_convs.0.conv.weight',
        'bbox_head.cls_convs.0.conv.conv_offset.weight',
    ],
    'dcn/faster-rcnn_r50-dconv-c3-c5_fpn_1x_coco.py': [
        'backbone.layer2.0.conv2.weight',
        'backbone.layer4.2.conv2.conv_offset.weight',
    ],
    'dcnv2/mask-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py': [
        'backbone.layer2.0.conv2.weight',
        'backbone.layer4.2.conv2.conv_offset.weight',
    ],
}


@pytest.mark.parametrize('config', DETECTORS)
def test_it_trains_and_predicts(config):
    cfg = shrink(f'mmdet::{config}', width=4)
    test_cfg = cfg.model.test_cfg
    test_cfg.get('rcnn', test_cfg).score_thr = 0
    torch.manual_seed(0)
    model = build_model(cfg)
    # Of TOOD, which learns otherwise in its first epochs.
    MessageHub.get_current_instance().update_info('epoch', 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    parameters = dict(model.named_parameters())
    before = {name: parameters[name].detach().clone() for name in DETECTORS[config]}
    batch = detection_batch(classes=80, size=64, masks='mask' in config)
    losses = model.train_step(batch, OptimWrapper(optimizer))
    assert all(value.isfinite() for value in losses.values())
    for name, value in before.items():
        assert not torch.equal(value, parameters[name])
    model.eval()
    with torch.no_grad():
        results = model.test_step(detection_batch(classes=80, size=64))
    for result in results:
        assert len(result.pred_instances) > 0
        assert result.pred_instances.scores.isfinite().all()
