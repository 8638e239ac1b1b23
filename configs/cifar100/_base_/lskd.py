# KD on standardised logits, with the authors' values; tau is the pair's.
method = dict(
    name='LSKD',
    paper='https://arxiv.org/abs/2403.01427',
    checked="the authors' figures",
)
model = dict(
    type='mmkd.Distiller',
    student=dict(head=dict(loss=dict(loss_weight=0.1))),
    losses=dict(
        loss_lskd=dict(
            type='LSKDLoss', on='logits', loss=dict(type='KDLoss'), weight=9.0
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
