# Faster R-CNN, ResNet-18-FPN: the student of *_frcnn.py alone.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', '../_base_/coco_180k.py']
model = dict(
    backbone=dict(depth=18, init_cfg=dict(checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
