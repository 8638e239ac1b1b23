# DKD, https://arxiv.org/abs/2203.08679; beta is the pair's.
method = dict(
    name='DKD', paper='https://arxiv.org/abs/2203.08679', checked="the authors' figures"
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(
        loss_dkd=dict(
            type='DKDLoss',
            on='logits',
            alpha=1.0,
            tau=4.0,
            weight=dict(value=1.0, warmup_epochs=20),
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
