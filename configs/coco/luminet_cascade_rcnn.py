# LumiNet, Cascade R-CNN: ResNet-101-FPN teaches ResNet-18-FPN, all three stages.
_base_ = './none_cascade_rcnn.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=dict(
        config='mmdet::cascade_rcnn/cascade-rcnn_r101_fpn_20e_coco.py',
        checkpoint='https://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/'
        'cascade_rcnn_r101_fpn_20e_coco/'
        'cascade_rcnn_r101_fpn_20e_coco_bbox_mAP-0.425_20200504_231812-5057dcc5.pth',
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
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.4})]
