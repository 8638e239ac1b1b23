# Weighted soft labels, with the values of https://github.com/yzd-v/cls_KD.
method = dict(
    name='WSLD', paper='https://arxiv.org/abs/2102.00650', checked='the formula'
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(loss_wsld=dict(type='WSLDLoss', on='logits', tau=4.0, weight=2.25)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
