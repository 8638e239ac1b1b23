# RetinaNet, ResNet-50-FPN: the student of *_fcos_x101_retinanet_r50.py alone.
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
# Who teaches in *_fcos_x101_retinanet_r50.py.
teacher = dict(
    config='mmdet::fcos/fcos_x101-64x4d_fpn_gn-head_ms-640-800-2x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/fcos/'
    'fcos_x101_64x4d_fpn_gn-head_mstrain_640-800_2x_coco/'
    'fcos_x101_64x4d_fpn_gn-head_mstrain_640-800_2x_coco-ede514a8.pth',
)
published = dict(teacher=42.6, none=36.5, pkd=40.3)  # mmdet's, and mmrazor's
