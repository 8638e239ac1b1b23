# The quickstart's student, taught with the loss in this folder.
_base_ = '../../configs/quickstart/student.py'
custom_imports = dict(imports=['projects.example_project.cosine_loss'])
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=dict(
        config='configs/quickstart/teacher.py',
        checkpoint='work_dirs/quickstart/teacher/iter_1600.pth',
    ),
    losses=dict(loss_cosine=dict(type='CosineLoss', on='roi.logits', weight=2.0)),
)
