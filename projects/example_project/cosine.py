# The quickstart's student, taught with the loss in this folder.
_base_ = '../../configs/quickstart/student.py'
custom_imports = dict(imports=['projects.example_project.cosine_loss'])
student = _base_.model
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=student,
    teacher=_base_.teacher,
    losses=dict(loss_cosine=dict(type='CosineLoss', on='roi.logits', weight=2.0)),
)
