# ReviewKD: the student's stages and the teacher's before activation, and the
# pooled features of both, as the authors compare on CIFAR. The weight is the pair's.
method = dict(
    name='ReviewKD',
    paper='https://arxiv.org/abs/2104.09044',
    checked="the authors' figures",
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(loss_reviewkd=dict(type='ReviewKDLoss', weight=dict(warmup_epochs=20))),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
