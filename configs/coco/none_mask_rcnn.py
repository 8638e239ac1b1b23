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
# Who teaches in *_mask_rcnn.py.
teacher = dict(
    config='mmdet::mask_rcnn/mask-rcnn_r101_fpn_ms-poly-3x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/'
    'mask_rcnn_r101_fpn_mstrain-poly_3x_coco/'
    'mask_rcnn_r101_fpn_mstrain-poly_3x_coco_20210524_200244-5675c317.pth',
)
# Masks are measured too; a table has one figure.
benchmark = dict(metric='coco/bbox_mAP')
