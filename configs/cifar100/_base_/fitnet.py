# FitNets' hint, with RepDistiller's and mdistiller's values: one stage, a 1x1
# convolution with batch norm and ReLU on the student.
method = dict(
    name='FitNet', paper='https://arxiv.org/abs/1412.6550', checked='the formula'
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(loss_fitnet=dict(type='FitNetLoss', weight=100.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
