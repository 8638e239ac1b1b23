# KD, https://arxiv.org/abs/1503.02531, with mdistiller's values.
method = dict(
    name='KD', paper='https://arxiv.org/abs/1503.02531', checked="the authors' figures"
)
model = dict(
    type='mmkd.Distiller',
    student=dict(head=dict(loss=dict(loss_weight=0.1))),
    losses=dict(loss_kd=dict(type='KDLoss', on='logits', tau=4.0, weight=0.9)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
