# SD-DKD: DKD on the logits of cells, https://arxiv.org/abs/2403.13512; the values of
# the released code. DKD's beta and the grids are the pair's.
method = dict(
    name='SD-DKD',
    paper='https://arxiv.org/abs/2403.13512',
    checked="the authors' figures",
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(
        loss_sddkd=dict(
            type='SDDLoss',
            on=dict(pairing='cells.logits', pooling='direct'),
            loss=dict(type='DKDLoss', alpha=1.0, tau=4.0),
            beta=2.0,
            weight=dict(value=1.0, warmup_epochs=20),
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
