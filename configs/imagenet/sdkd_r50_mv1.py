# SD-KD: ResNet-50 teaches MobileNetV1. The released code sets nothing for
# ImageNet, so that its values for CIFAR-100 count. Grids: the paper's rule for networks
# of two families (mmkd).
_base_ = './none_r50_mv1.py'
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
            on=dict(pairing='cells.logits', scales=[1, 2, 4]),
            loss=dict(type='KDLoss', tau=4.0),
            beta=2.0,
            weight=0.9,
        )
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 74.0})]
