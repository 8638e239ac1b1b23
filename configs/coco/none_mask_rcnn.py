# Mask R-CNN, ResNet-18-FPN: the student of *_mask_rcnn.py alone.
_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py', '../_base_/coco_180k.py']
model = dict(
    backbone=dict(depth=18, init_cfg=dict(checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=[64, 128, 256, 512]),
)
_base_.train_pipeline[1].update(with_mask=True, poly2mask=False)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_evaluator = dict(metric=['bbox', 'segm'])
test_evaluator = val_evaluator
