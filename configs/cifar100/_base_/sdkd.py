# SD-KD: KD on the logits of cells, https://arxiv.org/abs/2403.13512; the values of the
# released code. The grids are the pair's: 1 and 2 for networks of one family, 1, 2 and
# 4 for others.
method = dict(
    name='SD-KD',
    paper='https://arxiv.org/abs/2403.13512',
    checked="the authors' figures",
)
model = dict(
    type='mmkd.Distiller',
    student=dict(head=dict(loss=dict(loss_weight=0.1))),
    losses=dict(
        loss_sdkd=dict(
            type='SDDLoss',
            on=dict(pairing='cells.logits', pooling='direct'),
            loss=dict(type='KDLoss', tau=4.0),
            beta=2.0,
            weight=0.9,
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
