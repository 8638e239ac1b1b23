# OFA-KD. The authors did not run these pairs: (mmkd), after their configs for
# CIFAR-100. The width of a stage's branch is the pair's.
method = dict(
    name='OFA', paper='https://arxiv.org/abs/2310.19444', checked="the authors' figures"
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(
        loss_ofa=dict(type='OFALoss', on='logits', eps=1.0, tau=1.0),
        loss_ofa_stages=dict(type='OFALoss', eps=1.0, tau=1.0),
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
