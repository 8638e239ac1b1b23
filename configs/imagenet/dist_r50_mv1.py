# DIST: ResNet-50 teaches MobileNetV1; the paper's values; the factor 2 of the weight is
# torchdistill's.
_base_ = './none_r50_mv1.py'
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    losses=dict(
        loss_dist=dict(
            type='DISTLoss', on='logits', beta=1.0, gamma=1.0, tau=1.0, weight=2.0
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 74.0})]
