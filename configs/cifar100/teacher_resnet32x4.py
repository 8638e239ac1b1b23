_base_ = '_base_/resnet32x4_resnet8x4.py'
data_preprocessor = _base_.teacher.config.data_preprocessor
model = _base_.teacher.config.model
