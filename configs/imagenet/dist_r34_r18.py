# DIST: ResNet-34 teaches ResNet-18; the paper's values; the factor 2 of the weight is
# torchdistill's.
_base_ = './none_r34_r18.py'
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
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 71.0})]
