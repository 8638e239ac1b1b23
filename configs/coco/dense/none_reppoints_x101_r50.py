# RepPoints, ResNet-50-FPN: the student of *_reppoints_x101_r50.py alone.
_base_ = 'mmdet::reppoints/reppoints-moment_r50_fpn-gn_head-gn_2x_coco.py'
# Who teaches in *_reppoints_x101_r50.py.
teacher = dict(
    config='mmdet::reppoints/reppoints-moment_x101-dconv-c3-c5_fpn-gn_head-gn_2x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/reppoints/'
    'reppoints_moment_x101_fpn_dconv_c3-c5_gn-neck%2Bhead_2x_coco/'
    'reppoints_moment_x101_fpn_dconv_c3-c5_gn-neck%2Bhead_2x_coco_20200329-f87da1ea.pth',
)
# mmdet's, mmrazor's (PKD) and the authors' (FGD, MGD).
published = dict(teacher=44.2, none=38.6, pkd=42.3, fgd=42.0, mgd=42.3)
