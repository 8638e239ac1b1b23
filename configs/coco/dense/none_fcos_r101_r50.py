# FCOS, ResNet-50-FPN: the student of *_fcos_r101_r50.py alone. It is FGD's, which has
# another head than its teacher: boxes in strides, center sampling, GIoU.
_base_ = 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_ms-640-800-2x_coco.py'
model = dict(
    data_preprocessor=dict(mean=[103.53, 116.28, 123.675]),
    backbone=dict(init_cfg=dict(checkpoint='open-mmlab://detectron2/resnet50_caffe')),
    bbox_head=dict(norm_on_bbox=True, center_sampling=True, conv_bias=True),
    test_cfg=dict(nms=dict(iou_threshold=0.6)),
)
model['bbox_head']['loss_bbox'] = dict(type='GIoULoss', loss_weight=1.0)
warm_up = dict(type='LinearLR', start_factor=1 / 3, by_epoch=False, begin=0, end=500)
param_scheduler = [warm_up, _base_.param_scheduler[1]]
# Who teaches in *_fcos_r101_r50.py.
teacher = dict(
    config='mmdet::fcos/fcos_r101-caffe_fpn_gn-head_ms-640-800-2x_coco.py',
    checkpoint='https://download.openmmlab.com/mmdetection/v2.0/fcos/'
    'fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco/'
    'fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco-511424d6.pth',
)
# None's is of the stock head that the authors name.
published = dict(teacher=40.8, none=38.5, fgd=42.7)
