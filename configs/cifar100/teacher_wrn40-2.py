_base_ = '_base_/wrn40-2_wrn16-2.py'
data_preprocessor = _base_.teacher.config.data_preprocessor
model = _base_.teacher.config.model
