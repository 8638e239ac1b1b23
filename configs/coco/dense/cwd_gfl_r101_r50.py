# CWD on the class logits, GFL: ResNet-101-FPN teaches ResNet-50-FPN. As mmrazor 0.x
# got its 41.9; its later file of the same name compares the neck's maps, weight 10,
# which nobody published a figure of.
_base_ = './none_gfl_r101_r50.py'
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(
        loss_cwd=dict(type='CWDLoss', on='bbox_head.gfl_cls', tau=1.0, weight=5.0)
    ),
)
custom_hooks = [dict(type='mmkd.TeacherEvalHook', floor={'coco/bbox_mAP': 0.42})]
