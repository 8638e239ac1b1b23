_base_ = ['_base_/resnet32x4_shufflenetv1.py', '_base_/mlkd.py']
data_preprocessor = dict(type='mmkd.WeakStrongPreprocessor')
train_cfg = dict(max_epochs=480)
model = dict(student=_base_.student, teacher=_base_.teacher)
