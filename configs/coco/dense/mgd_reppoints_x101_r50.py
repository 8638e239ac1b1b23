# MGD, RepPoints: ResNeXt-101-DCN-FPN teaches ResNet-50-FPN.
# The authors' values, before the neck's group norm.
_base_ = './none_reppoints_x101_r50.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    inherit=['neck', 'bbox_head'],
    losses=dict(
        loss_mgd=dict(
            type='MGDLoss',
            on=[f'neck.fpn_convs.{i}.conv' for i in range(5)],
            alpha=2e-5,
            masked=0.65,
        )
    ),
)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.42})]
