"""The version of cylstm, read by the build without importing the package."""

__all__ = ["__version__"]

__version__ = "0.1.0"
