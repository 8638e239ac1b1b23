# Faster R-CNN, ResNet-50-FPN: the student of *_cascade_mask_rcnn_x101_frcnn_r50.py.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py'
# Who teaches in *_cascade_mask_rcnn_x101_frcnn_r50.py.
teacher = dict(
    config='mmdet::dcn/cascade-mask-rcnn_x101-32x4d-dconv-c3-c5_fpn_1x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/dcn/'
    'cascade_mask_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco/'
    'cascade_mask_rcnn_x101_32x4d_fpn_dconv_c3-c5_1x_coco-e75f90c8.pth',
)
published = dict(teacher=47.3, none=38.4, fgd=42.0, mgd=42.1)  # mmdet's, and authors'
