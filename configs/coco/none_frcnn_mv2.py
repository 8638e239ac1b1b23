# Faster R-CNN, MobileNetV2-FPN: the student of *_frcnn_r50_mv2.py alone.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', '../_base_/coco_180k.py']
model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        out_indices=(1, 2, 4, 6),  # 24, 32, 96, 320 channels, as in mdistiller
        norm_eval=True,  # mdistiller: frozen batch norm, no frozen stage
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://mmdet/mobilenet_v2'),
    ),
    neck=dict(in_channels=[24, 32, 96, 320]),
)
# The backbone's last convolution (to 1280 channels) feeds nothing here, so it gets no
# gradient; mmdet's own MobileNetV2 configs need this in distributed runs too.
find_unused_parameters = True
# Who teaches in *_frcnn_r50_mv2.py.
teacher = dict(
    config='mmdet::faster_rcnn/faster-rcnn_r50_fpn_ms-3x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/'
    'faster_rcnn_r50_fpn_mstrain_3x_coco/'
    'faster_rcnn_r50_fpn_mstrain_3x_coco_20210524_110822-e10bd31c.pth',
)
# Methods of this student stand in tables as this pair.
benchmark = dict(pair='frcnn_r50_mv2')
