# ReviewKD and LumiNet, Faster R-CNN: ResNet-101-FPN teaches ResNet-18-FPN.
# ReviewKD's values are the authors'; LumiNet's, and both together, are (mmkd).
_base_ = './luminet_frcnn.py'
losses = dict(
    loss_reviewkd=dict(type='ReviewKDLoss', on='neck', mid_channels=256, weight=1.2)
)
model = dict(losses=losses)
benchmark = dict(method='reviewkd_luminet', pair='frcnn')
