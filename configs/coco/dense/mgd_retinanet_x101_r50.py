# MGD, RetinaNet: ResNeXt-101-64x4d-FPN teaches ResNet-50-FPN.
# The authors' values. Their 41.0 is of a better teacher, mmdet's ms-640-800-3x (41.6);
# mmrazor got 41.0 with this one, without clipping.
_base_ = './none_retinanet_x101_r50.py'
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
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.39})]
