# Neuron selectivity transfer, with RepDistiller's and mdistiller's values.
method = dict(
    name='NST', paper='https://arxiv.org/abs/1707.01219', checked="the authors' figures"
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(loss_nst=dict(type='NSTLoss', weight=50.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
