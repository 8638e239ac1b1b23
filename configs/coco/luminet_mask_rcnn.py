# LumiNet, Mask R-CNN: ResNet-101-FPN teaches ResNet-18-FPN.
_base_ = './none_mask_rcnn.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=dict(
        config='mmdet::mask_rcnn/mask-rcnn_r101_fpn_ms-poly-3x_coco.py',
        checkpoint='https://download.openmmlab.com/mmdetection/v2.0/mask_rcnn/'
        'mask_rcnn_r101_fpn_mstrain-poly_3x_coco/'
        'mask_rcnn_r101_fpn_mstrain-poly_3x_coco_20210524_200244-5675c317.pth',
    ),
    losses=dict(
        loss_luminet=dict(
            type='LumiNetLoss',
            on='roi.logits',
            tau=1.0,  # ours
            alpha=3.0,  # ours
            weight=dict(value=1.0, warmup_iters=1000),  # ours
        )
    ),
)
floor = {'coco/bbox_mAP': 0.4, 'coco/segm_mAP': 0.36}
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor=floor)]
