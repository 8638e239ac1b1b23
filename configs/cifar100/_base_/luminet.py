# LumiNet, https://arxiv.org/abs/2310.03669; alpha, tau and the weight of the
# cross-entropy are the pair's.
method = dict(
    name='LumiNet',
    paper='https://arxiv.org/abs/2310.03669',
    checked="the authors' figures",
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(
        loss_luminet=dict(
            type='LumiNetLoss', on='logits', weight=dict(value=1.0, warmup_epochs=20)
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
