# LumiNet: ResNet-34 teaches ResNet-18. Values of the authors' released config.
_base_ = './none_r34_r18.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=dict(
        config='mmpretrain::resnet/resnet34_8xb32_in1k.py',
        checkpoint='https://download.openmmlab.com/mmclassification/v0/resnet/'
        'resnet34_8xb32_in1k_20210831-f257d4e6.pth',
    ),
    losses=dict(loss_luminet=dict(type='LumiNetLoss', on='logits', tau=0.7, alpha=2.0)),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'accuracy/top1': 71.0})]
