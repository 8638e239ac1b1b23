# The teacher: a RetinaNet of width 32, trained on 2400 scenes.
_base_ = ['./_base_/retinanet.py', './_base_/digits.py']
train_dataloader = dict(
    dataset=dict(data_root='data/digits_2400/', digits=dict(num_train=2400))
)
train_cfg = dict(max_iters=3000, val_interval=1000)
