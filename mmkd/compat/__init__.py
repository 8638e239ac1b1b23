"""Every shim over third-party packages, in one place.

Each module says which upstream fault it works around, with a link, and when it can
be deleted. ``import mmkd`` runs :func:`setup`, so that neither mmkd nor the user
has to think of it.
"""


def setup() -> None:
    """Check the environment, and see that mmcv-lite and checkpoint loading will work.

    Nothing is imported for it. Packages that are here already are mended at once, the
    others as soon as somebody imports them. Running it again changes nothing.

    Raises:
        ImportError: The installed packages do not fit together.
    """
    from mmkd.compat import mmcv_ext, versions
    from mmkd.compat.after_import import after_import

    versions.check_installed()
    mmcv_ext.install()
    after_import('mmcv', versions.check_fit)
    after_import('mmcv.ops.sync_bn', _build_alone)
    after_import('mmengine.registry', _name_as_student)
    after_import('mmengine.runner', _load_safely)
    after_import('mmengine.fileio', _write_whole)
    after_import('mmengine.config', _dump_whole)
    after_import('mmengine.hooks', _save_first)


def _build_alone() -> None:
    from mmkd.compat import sync_bn

    sync_bn.install()


def _name_as_student() -> None:
    from mmkd.compat import student_names

    student_names.install()


def _load_safely() -> None:
    from mmkd.compat import checkpoints

    checkpoints.install()


def _write_whole() -> None:
    from mmkd.compat import whole_files

    whole_files.install_backend()


def _dump_whole() -> None:
    from mmkd.compat import whole_files

    whole_files.install_config()


def _save_first() -> None:
    from mmkd.compat import whole_files

    whole_files.install_hook()
