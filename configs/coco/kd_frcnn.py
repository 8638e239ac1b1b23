# KD on the RoI logits, Faster R-CNN: ResNet-101-FPN teaches ResNet-18-FPN.
_base_ = './none_frcnn.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_kd=dict(type='KDLoss', on='roi.logits', tau=1.0, weight=1.0)  # (mmkd)
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.39})]
