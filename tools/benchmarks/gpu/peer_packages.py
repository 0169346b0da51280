"""Makes the loss functions of other projects importable from their wheels alone.

Loss code is a small part of these packages; what the rest of them imports (data sets, clusters) may be missing where a benchmark
runs. A package that is missing is replaced by one whose names are empty classes, so that the files with the loss functions load.
What is measured is always the projects' own code, unchanged.
"""
import importlib
import importlib.machinery
import importlib.util
import pathlib
import sys
import types
import zipfile

# Imported by files of the peers, not used by their loss functions.
UNUSED = ("accelerate", "datasets", "pandas")


def unpack(wheels: pathlib.Path, folder: pathlib.Path) -> None:
    """Triton reads the source of its kernels, so the wheels are unpacked rather than imported as they are."""
    for wheel in sorted(wheels.glob("*.whl")):
        zipfile.ZipFile(wheel).extractall(folder)
    sys.path.insert(0, str(folder))


class _Empty(types.ModuleType):
    __path__: list[str] = []

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (), {})
        setattr(self, name, made)
        return made


class _EmptyPackages:
    """Finds, last of all, the packages that it was told of and their submodules."""

    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Empty(spec.name)

    def exec_module(self, module):
        if module.__name__ == "accelerate.logging":
            import logging
            module.get_logger = logging.getLogger


def missing_packages() -> list[str]:
    return [name for name in UNUSED if importlib.util.find_spec(name) is None]


def trl_utils():
    """TRL's trainer/utils.py; its folder's kernels come with it."""
    sys.meta_path.append(_EmptyPackages(missing_packages()))
    return importlib.import_module("trl.trainer.utils")


def verl_linear_cross_entropy():
    """verl's Triton kernel. Its packages' own __init__ files start a cluster's libraries: they are passed over."""
    import torch

    root = pathlib.Path(importlib.util.find_spec("verl").submodule_search_locations[0])
    for name in ("verl", "verl.utils"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    device = types.ModuleType("verl.utils.device")
    device.is_cuda_available = torch.cuda.is_available()
    device.get_device_name = lambda: "cuda"
    device.get_torch_device = lambda: torch.cuda
    device.get_device_capability = torch.cuda.get_device_capability
    sys.modules["verl.utils.device"] = device
    return importlib.import_module("verl.utils.kernel.linear_cross_entropy").linear_cross_entropy
