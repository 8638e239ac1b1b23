# The student alone.
custom_imports = dict(
    imports=[
        'projects.keypoints.dots_dataset',
        'projects.keypoints.keypoint_family',
        'projects.keypoints.map_pairing',
        'projects.keypoints.place_loss',
    ]
)
default_scope = 'mmengine'
data_preprocessor = dict(type='ImgDataPreprocessor', mean=[30.0] * 3, std=[60.0] * 3)
model = dict(type='mmkd.KeypointNetwork', width=8, data_preprocessor=data_preprocessor)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    dataset=dict(type='mmkd.DotsDataset', length=64),
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='pseudo_collate'),
)
train_cfg = dict(by_epoch=True, max_epochs=8)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=0.01))
randomness = dict(seed=0)
