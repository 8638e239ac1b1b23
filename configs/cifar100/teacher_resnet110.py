_base_ = '_base_/resnet110_resnet32.py'
data_preprocessor = _base_.teacher.config.data_preprocessor
model = _base_.teacher.config.model
