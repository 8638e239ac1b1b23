# CWD, RTMDet-l teaches RTMDet-m, until the mosaic is switched off. The values of
# mmyolo's recipe; both sides are standardised before the neck's last batch norms.
_base_ = './none_rtmdet_l_m.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_cwd=dict(
            type='CWDLoss',
            on=dict(
                student=[f'neck.out_convs.{i}.conv' for i in range(3)],
                adapter=dict(type='ConvAdapter', bias=False),
            ),
            tau=1.0,
            standardise=True,
            weight=dict(value=1.0, stop=280),
        )
    ),
)
floor = {'coco/bbox_mAP': 0.49}
custom_hooks = [*_base_.custom_hooks, dict(type='mmkd.TeacherEvalHook', floor=floor)]
