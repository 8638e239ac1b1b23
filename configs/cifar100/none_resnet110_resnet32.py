_base_ = '_base_/resnet110_resnet32.py'
model = _base_.student
