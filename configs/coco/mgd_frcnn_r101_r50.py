# MGD, Faster R-CNN: ResNet-101-FPN teaches ResNet-50-FPN.
# The authors' values for two-stage students, whose teacher is another; this one and
# inherit=, as FGD's authors have it for this pair, are (mmkd).
_base_ = './none_frcnn_r101_r50.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    inherit=['neck', 'rpn_head', 'roi_head'],
    losses=dict(
        loss_mgd=dict(
            type='MGDLoss',
            on=[f'neck.fpn_convs.{i}.conv' for i in range(4)],
            alpha=5e-7,
            masked=0.45,
        )
    ),
)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.38})]
