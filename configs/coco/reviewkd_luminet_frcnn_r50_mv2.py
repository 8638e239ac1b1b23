# ReviewKD and LumiNet, Faster R-CNN: ResNet-50-FPN teaches MobileNetV2-FPN.
# ReviewKD's values are the authors'; LumiNet's, and both together, are (mmkd).
_base_ = './luminet_frcnn_r50_mv2.py'
losses = dict(
    loss_reviewkd=dict(type='ReviewKDLoss', on='neck', mid_channels=256, weight=2.0)
)
model = dict(losses=losses)
benchmark = dict(method='reviewkd_luminet')
