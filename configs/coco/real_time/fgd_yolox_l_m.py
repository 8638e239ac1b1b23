# FGD, YOLOX-l teaches YOLOX-m.
# The authors' values.
_base_ = './none_yolox_l_m.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_fgd=dict(
            type='FGDLoss',
            on=[f'neck.out_convs.{i}' for i in range(3)],
            tau=0.5,
            alpha=2e-3,
            beta=1e-3,
            gamma=1e-3,
            lambda_=1e-5,
        )
    ),
)
floor = {'coco/bbox_mAP': 0.47}
custom_hooks = [*_base_.custom_hooks, dict(type='mmkd.TeacherEvalHook', floor=floor)]
