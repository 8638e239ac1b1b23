# SD-KD: ResNet-34 teaches ResNet-18. The released code sets nothing for
# ImageNet, so that its values for CIFAR-100 count. Grids: the paper's rule for networks
# of one family (mmkd).
_base_ = './none_r34_r18.py'
student = _base_.model
student.head.loss.loss_weight = 0.1
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_sdkd=dict(
            type='SDDLoss',
            on=dict(pairing='cells.logits', scales=[1, 2]),
            loss=dict(type='KDLoss', tau=4.0),
            beta=2.0,
            weight=0.9,
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 71.0})]
