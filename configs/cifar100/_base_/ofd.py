# Overhaul of feature distillation, with mdistiller's values: maps before the
# stages' last activation, a 1x1 convolution with batch norm on the student.
method = dict(
    name='OFD', paper='https://arxiv.org/abs/1904.01866', checked='the formula'
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(loss_ofd=dict(type='OFDLoss', weight=0.001)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
