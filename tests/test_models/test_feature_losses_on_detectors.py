"""PKD, CWD, FGD and MGD on stock detectors: training, saving, the stock student."""

import copy
import functools

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from mmengine.runner import save_checkpoint
from torch.nn.modules.batchnorm import _BatchNorm

from mmkd.configs import load_config
from mmkd.models import Distiller
from mmkd.testing import detection_batch, shrink
from mmkd.weight_names import EXTRAS

FPN = [f'neck.fpn_convs.{level}.conv' for level in range(4)]
PAFPN = [f'neck.out_convs.{level}.conv' for level in range(3)]
YOLOX = [f'neck.out_convs.{level}' for level in range(3)]
#: What is compared of a stock config.
DETECTORS = {
    'retinanet/retinanet_r50_fpn_1x_coco.py': FPN,
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py': FPN,
    'gfl/gfl_r50_fpn_1x_coco.py': FPN,
    'atss/atss_r50_fpn_1x_coco.py': FPN,
    'rtmdet/rtmdet_tiny_8xb32-300e_coco.py': PAFPN,
    'yolox/yolox_tiny_8xb8-300e_coco.py': YOLOX,
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py': FPN,
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py': FPN,
    'reppoints/reppoints-moment_r50_fpn_1x_coco.py': FPN,
    'tood/tood_r50_fpn_1x_coco.py': FPN,
}
LOSSES = dict(
    loss_pkd=dict(type='PKDLoss', weight=6.0),
    loss_cwd=dict(type='CWDLoss'),
    loss_fgd=dict(type='FGDLoss'),
    loss_mgd=dict(type='MGDLoss'),
)
#: What is 0 where teacher and student are one.
SAME = {
    name + '_of_itself': dict(spec, teacher='itself')
    for name, spec in LOSSES.items()
    if name in ('loss_pkd', 'loss_cwd')
}


load = functools.cache(load_config)


def stock(config, depth=18, width=4, neck=32):
    """A small one of the stock config; those that are no ResNets by their own sizes."""
    cfg = copy.deepcopy(load(f'mmdet::{config}'))
    if 'widen_factor' in cfg.model.backbone:
        cfg.model.backbone.update(widen_factor=width / 64, deepen_factor=0.1)
    else:
        cfg.model.backbone.depth = depth
    model = shrink(cfg, width=width).model
    if 'widen_factor' in model.backbone:
        model.neck.out_channels = model.bbox_head.in_channels = neck
    # YOLOX's images are not normalised, and nor are its untrained teacher's maps.
    for key, value in dict(mean=[127.5] * 3, std=[64.0] * 3).items():
        model.data_preprocessor.setdefault(key, value)
    for augment in model.data_preprocessor.get('batch_augments') or []:
        # YOLOX's, for which any tenth iteration is one to draw a size.
        augment.update(random_size_range=(64, 64), interval=2)
    test_cfg = model.test_cfg
    test_cfg.get('rcnn', test_cfg).score_thr = 0
    return dict(model, _scope_='mmdet')


@pytest.fixture(params=DETECTORS)
def config(request):
    return request.param


def iteration(number):
    """What YOLOX's preprocessor and TOOD's loss read of a Runner."""
    for name in ('iter', 'epoch'):
        MessageHub.get_current_instance().update_info(name, number)


def batch(config):
    return detection_batch(classes=80, size=96, masks='mask' in config)


def distiller(config):
    torch.manual_seed(0)
    teachers = dict(
        larger=stock(config, depth=50, width=6, neck=48),
        itself=stock(config),
    )
    losses = {name: dict(spec, teacher='larger') for name, spec in LOSSES.items()}
    return Distiller(
        stock(config),
        {
            name: dict(spec, on=DETECTORS[config])
            for name, spec in {**losses, **SAME}.items()
        },
        teachers={
            name: dict(config=spec, allow_untrained=True)
            for name, spec in teachers.items()
        },
        probe_size=96,
    ).train()


def check_the_same(model, data):
    """At rest, losses of a teacher that is the student are 0."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
    values = [model(**data, mode='loss')[name].item() for name in SAME]
    student = model.state_dict()
    own = {key: value for key, value in student.items() if not key.startswith(EXTRAS)}
    model.teachers['itself'].model.load_state_dict(own)
    for name, value in zip(SAME, values):
        assert abs(model(**data, mode='loss')[name].item()) < 1e-5 * value
    model.train()


def check_gradients(model, losses):
    """Each loss reaches neck and backbone, and what it learns itself."""
    parts = (model.student.neck, model.student.backbone)
    parts = [[p for p in part.parameters() if p.requires_grad] for part in parts]
    for name in LOSSES:
        assert losses[name].isfinite() and losses[name] > 0
        learned = list(model.distill[name].parameters())
        for part in (*parts, learned)[: 3 if learned else 2]:
            gradients = torch.autograd.grad(
                losses[name], part, retain_graph=True, allow_unused=True
            )
            reached = [grad for grad in gradients if grad is not None and grad.any()]
            assert reached and all(grad.isfinite().all() for grad in reached)


def test_train_save_and_predict(config, tmp_path):
    iteration(0)
    model = distiller(config)
    data = model.data_preprocessor(batch(config), training=True)
    check_the_same(model, data)
    check_gradients(model, model(**data, mode='loss'))
    optimizer = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=1e-3), clip_grad=dict(max_norm=35)
    )
    before = {key: value.clone() for key, value in model.state_dict().items()}
    logs = []
    for step in range(3):
        iteration(step)
        logs.append(model.train_step(batch(config), optimizer))
    assert all(value.isfinite() for log in logs for value in log.values())

    file = str(tmp_path / 'epoch_1.pth')
    save_checkpoint(dict(state_dict=model.state_dict()), file)
    saved = torch.load(file, weights_only=True)['state_dict']
    own = {key: value for key, value in saved.items() if not key.startswith(EXTRAS)}
    student = MODELS.build(stock(config))
    assert list(own) == list(student.state_dict())
    learned = [key for key in saved if key.startswith(EXTRAS)]
    moved = {key.split('.')[1] for key in learned if (saved[key] != before[key]).any()}
    assert moved >= {name for name in LOSSES if list(model.distill[name].parameters())}

    student.load_state_dict(own, strict=True)
    with torch.no_grad():
        results = [each.eval().test_step(batch(config)) for each in (model, student)]
    for of_distiller, of_student in zip(*results):
        found = of_student.pred_instances
        assert len(found) > 0
        torch.testing.assert_close(found.bboxes, of_distiller.pred_instances.bboxes)
        torch.testing.assert_close(found.scores, of_distiller.pred_instances.scores)
