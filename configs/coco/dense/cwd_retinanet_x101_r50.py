# CWD, RetinaNet: ResNeXt-101-64x4d-FPN teaches ResNet-50-FPN.
# Values of mmrazor's file for ResNet-101; with this teacher it is (mmkd).
_base_ = './none_retinanet_x101_r50.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(loss_cwd=dict(type='CWDLoss', on='neck', tau=1.0, weight=10.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.39})]
