# FGD, FCOS: ResNet-101-FPN teaches ResNet-50-FPN.
# The authors' values; gradients are clipped as in the stock file.
_base_ = './none_fcos_r101_r50.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    inherit=['neck', 'bbox_head'],
    losses=dict(
        loss_fgd=dict(
            type='FGDLoss',
            on=[f'neck.fpn_convs.{i}.conv' for i in range(5)],
            tau=0.8,
            alpha=1.6e-3,
            beta=8e-4,
            gamma=8e-4,
            lambda_=8e-6,
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.38})]
