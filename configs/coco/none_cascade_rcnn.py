# Cascade R-CNN, ResNet-18-FPN: the student of *_cascade_rcnn.py alone.
_base_ = ['mmdet::_base_/models/cascade-rcnn_r50_fpn.py', '../_base_/coco_180k.py']
model = dict(
    backbone=dict(depth=18, init_cfg=dict(checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
# Who teaches in *_cascade_rcnn.py.
teacher = dict(
    config='mmdet::cascade_rcnn/cascade-rcnn_r101_fpn_20e_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/'
    'cascade_rcnn_r101_fpn_20e_coco/'
    'cascade_rcnn_r101_fpn_20e_coco_bbox_mAP-0.425_20200504_231812-5057dcc5.pth',
)
