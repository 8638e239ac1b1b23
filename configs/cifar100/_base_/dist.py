# DIST, with the paper's weights for CIFAR-100. The temperature is (mmkd), after the
# re-run in https://github.com/zkxufo/TTM.
method = dict(
    name='DIST',
    paper='https://arxiv.org/abs/2205.10536',
    checked="the authors' figures",
)
model = dict(
    type='mmkd.Distiller',
    losses=dict(
        loss_dist=dict(type='DISTLoss', on='logits', beta=2.0, gamma=2.0, tau=4.0)
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 60.0})]
