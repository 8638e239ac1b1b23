# Similarity preserving, with RepDistiller's and mdistiller's values.
method = dict(
    name='SP', paper='https://arxiv.org/abs/1907.09682', checked="the authors' figures"
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(loss_sp=dict(type='SPLoss', weight=3000.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
