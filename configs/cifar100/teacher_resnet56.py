_base_ = '_base_/resnet56_resnet20.py'
data_preprocessor = _base_.teacher.config.data_preprocessor
model = _base_.teacher.config.model
