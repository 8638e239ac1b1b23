# SD-DKD on cells of the RoIs that hold an object, Faster R-CNN: ResNet-101-FPN teaches
# ResNet-18-FPN. Ours: SDD is published for classifiers. DKD has mdistiller's values.
_base_ = './none_frcnn.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=dict(
        config='mmdet::faster_rcnn/faster-rcnn_r101_fpn_ms-3x_coco.py',
        checkpoint='https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/'
        'faster_rcnn_r101_fpn_mstrain_3x_coco/'
        'faster_rcnn_r101_fpn_mstrain_3x_coco_20210524_110822-4d4d2ca8.pth',
    ),
    losses=dict(
        loss_sddkd=dict(
            type='SDDLoss',
            on=dict(pairing='roi.cells', scales=[1, 2], select='fg'),
            loss=dict(type='DKDLoss', alpha=1.0, beta=0.25, tau=1.0),
            beta=2.0,
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.39})]
