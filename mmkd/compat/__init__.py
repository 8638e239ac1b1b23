"""Every shim over third-party packages, in one place.

Each module says which upstream fault it works around, with a link, and when it can
be deleted. ``import mmkd`` runs :func:`setup`, so that neither mmkd nor the user
has to think of it.
"""


def setup() -> None:
    """Check the environment, then make mmcv-lite and checkpoint loading work.

    Runs before anything imports mmdet; running it again changes nothing.

    Raises:
        ImportError: The installed packages do not fit together.
    """
    # The checks come first: what they find wrong would break the other imports.
    from mmkd.compat import versions

    versions.check()

    from mmkd.compat import checkpoints, mmcv_ext

    mmcv_ext.install()
    checkpoints.install()
