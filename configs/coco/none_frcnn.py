# Faster R-CNN, ResNet-18-FPN: the student of *_frcnn.py alone.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', '../_base_/coco_180k.py']
model = dict(
    backbone=dict(depth=18, init_cfg=dict(checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
# Who teaches in *_frcnn.py.
teacher = dict(
    config='mmdet::faster_rcnn/faster-rcnn_r101_fpn_ms-3x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/'
    'faster_rcnn_r101_fpn_mstrain_3x_coco/'
    'faster_rcnn_r101_fpn_mstrain_3x_coco_20210524_110822-4d4d2ca8.pth',
)
