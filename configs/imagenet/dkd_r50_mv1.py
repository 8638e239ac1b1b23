# DKD: ResNet-50 teaches MobileNetV1; values of the paper and of mdistiller.
_base_ = './none_r50_mv1.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(
        loss_dkd=dict(type='DKDLoss', on='logits', alpha=1.0, beta=2.0, tau=1.0)
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 74.0})]
