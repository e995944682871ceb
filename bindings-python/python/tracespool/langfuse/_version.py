"""The version that programs compare with: of the langfuse package where it is installed, else the one whose names we have."""

from importlib.metadata import PackageNotFoundError, version

_SPOKEN = "5.0.4"


def get_langfuse_version() -> str:
    """That version."""
    try:
        return version("langfuse")
    except PackageNotFoundError:
        return _SPOKEN


__version__ = get_langfuse_version()
