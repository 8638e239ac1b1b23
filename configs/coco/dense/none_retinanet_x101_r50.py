# RetinaNet, ResNet-50-FPN: the student of *_retinanet_x101_r50.py alone.
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_2x_coco.py'
# Who teaches in *_retinanet_x101_r50.py.
teacher = dict(
    config='mmdet::retinanet/retinanet_x101-64x4d_fpn_1x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/retinanet/'
    'retinanet_x101_64x4d_fpn_1x_coco/'
    'retinanet_x101_64x4d_fpn_1x_coco_20200130-366f5af1.pth',
)
# mmdet's, mmrazor's (PKD, MGD) and the authors' (FGD).
published = dict(teacher=41.0, none=37.4, pkd=40.8, fgd=40.7, mgd=41.0)
