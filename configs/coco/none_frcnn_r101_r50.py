# Faster R-CNN, ResNet-50-FPN: the student of *_frcnn_r101_r50.py alone.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py'
# Who teaches in *_frcnn_r101_r50.py.
teacher = dict(
    config='mmdet::faster_rcnn/faster-rcnn_r101_fpn_2x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/'
    'faster_rcnn_r101_fpn_2x_coco/'
    'faster_rcnn_r101_fpn_2x_coco_bbox_mAP-0.398_20200504_210455-1d2dac9c.pth',
)
published = dict(teacher=39.8, none=38.4, pkd=40.3)  # mmdet's, and mmrazor's
