# Attention transfer, with RepDistiller's and mdistiller's values.
method = dict(
    name='AT', paper='https://arxiv.org/abs/1612.03928', checked="the authors' figures"
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(loss_at=dict(type='ATLoss', p=2, weight=1000.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
