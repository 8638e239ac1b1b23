# NKD. Nothing is published for these pairs: (mmkd), after the authors' ResNet-34 ->
# ResNet-18 on CIFAR-100.
method = dict(
    name='NKD', paper='https://arxiv.org/abs/2303.13005', checked="the authors' figures"
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(loss_nkd=dict(type='NKDLoss', on='logits', gamma=3.5, tau=3.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
