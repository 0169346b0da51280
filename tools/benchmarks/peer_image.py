"""The peer of `tools/bench image`: transformers' fast (torchvision) processor behind Pillow's decoder.

    python peer_image.py MODEL_DIR THREADS FILE...

Every line on stdin asks for one round over all files; the answer is its seconds. The faster of two ways to use THREADS is taken:
that many workers with one torch thread each, or one worker with that many torch threads.
"""
import io
import pathlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import torch
from PIL import Image
from transformers import AutoImageProcessor

MODEL_DIR, THREADS = sys.argv[1], int(sys.argv[2])
FILES = [pathlib.Path(name).read_bytes() for name in sys.argv[3:]]
PROCESSOR = AutoImageProcessor.from_pretrained(MODEL_DIR, backend="torchvision")


def patches(data: bytes) -> int:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return PROCESSOR(images=[image], return_tensors="pt")["pixel_values"].shape[0]


def one_round(workers: int) -> float:
    torch.set_num_threads(THREADS // workers)
    begin = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        assert sum(pool.map(patches, FILES)) > 0
    return time.perf_counter() - begin


one_round(1)  # warm
for _ in sys.stdin:
    print(min(one_round(1), one_round(THREADS)), flush=True)
