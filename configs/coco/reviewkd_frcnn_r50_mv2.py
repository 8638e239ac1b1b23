# ReviewKD on the FPN's maps, Faster R-CNN: ResNet-50-FPN teaches MobileNetV2-FPN.
# The authors' values.
_base_ = './none_frcnn_mv2.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_reviewkd=dict(type='ReviewKDLoss', on='neck', mid_channels=256, weight=2.0)
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.38})]
