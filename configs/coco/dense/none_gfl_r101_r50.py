# GFL, ResNet-50-FPN: the student of *_gfl_r101_r50.py alone.
_base_ = 'mmdet::gfl/gfl_r50_fpn_1x_coco.py'
# Who teaches in *_gfl_r101_r50.py.
teacher = dict(
    config='mmdet::gfl/gfl_r101_fpn_ms-2x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/gfl/'
    'gfl_r101_fpn_mstrain_2x_coco/'
    'gfl_r101_fpn_mstrain_2x_coco_20200629_200126-dd12f847.pth',
)
# mmdet's, mmrazor's (CWD) and the authors' (FGD).
published = dict(teacher=44.7, none=40.2, cwd=41.9, fgd=43.5)
