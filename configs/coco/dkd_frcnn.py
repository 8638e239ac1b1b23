# DKD, Faster R-CNN: ResNet-101-FPN teaches ResNet-18-FPN.
_base_ = './none_frcnn.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        # mdistiller's values for detection.
        loss_dkd=dict(type='DKDLoss', on='roi.logits', alpha=1.0, beta=0.25, tau=1.0)
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.39})]
