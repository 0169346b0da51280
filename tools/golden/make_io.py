"""Writes tests/golden/io: a tensor file by the reference implementation of safetensors.

Values follow from the element's index i alone, so that the test can make them again: (i * 7) % 120 - 3
for signed types, (i * 7) % 120 for unsigned ones, "i is odd" for booleans.
"""

import pathlib

import torch
from safetensors.torch import save_file

SHAPES = {"matrix": (3, 5), "scalar": (), "nothing": (0, 4)}
DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn, "I16": torch.int16, "U16": torch.uint16, "F16": torch.float16,
    "BF16": torch.bfloat16, "I32": torch.int32, "U32": torch.uint32, "F32": torch.float32,
    "F64": torch.float64, "I64": torch.int64, "U64": torch.uint64,
}  # fmt: skip


def values(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.int64)
    if name == "BOOL":
        return (index % 2 == 1).reshape(shape)
    offset = 0 if name.startswith("U") else -3
    return (index * 7 % 120 + offset).to(dtype).reshape(shape)


def main() -> None:
    folder = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/io"
    tensors = {
        f"{shape_name}.{name}": values(name, shape, dtype)
        for name, dtype in DTYPES.items()
        for shape_name, shape in SHAPES.items()
    }
    tensors['ünï "quoted"\n'] = torch.tensor([1.5, -0.0])
    save_file(tensors, folder / "all_dtypes.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
