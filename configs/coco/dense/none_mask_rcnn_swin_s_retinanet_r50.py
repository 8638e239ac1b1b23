# RetinaNet, ResNet-50-FPN: the student of *_mask_rcnn_swin_s_retinanet_r50.py alone.
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_2x_coco.py'
# Who teaches in *_mask_rcnn_swin_s_retinanet_r50.py.
teacher = dict(
    config='mmdet::swin/mask-rcnn_swin-s-p4-w7_fpn_amp-ms-crop-3x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/swin/'
    'mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco/'
    'mask_rcnn_swin-s-p4-w7_fpn_fp16_ms-crop-3x_coco_20210903_104808-b92c91f1.pth',
)
published = dict(teacher=48.2, none=37.4, pkd=41.5)  # mmdet's, and mmrazor's
