# PKD: FCOS, ResNeXt-101-64x4d-FPN, teaches RetinaNet, ResNet-50-FPN.
# The authors' values, in mmrazor: four of the five levels.
_base_ = './none_fcos_x101_retinanet_r50.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_pkd=dict(
            type='PKDLoss', on=[f'neck.fpn_convs.{i}' for i in range(4)], weight=10.0
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.4})]
