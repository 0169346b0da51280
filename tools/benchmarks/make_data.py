"""Writes a Parquet file in the CapRL-QA schema with pyarrow, as the datasets library does: snappy, 100 rows a row group.

    python make_data.py FILE GIGABYTES

Images are random bytes of 20 to 180 kB: like JPEG, nothing compresses them.
"""
import os
import random
import sys

import pyarrow as pa
import pyarrow.parquet as pq

FILE, TOTAL = sys.argv[1], float(sys.argv[2]) * 1e9
QUESTION = pa.struct([("question", pa.string()), ("choices", pa.list_(pa.string())), ("answer", pa.string())])
SCHEMA = pa.schema([
    ("id", pa.string()), ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))), ("data_source", pa.string()),
    ("reward_model", pa.struct([("ground_truth", pa.list_(QUESTION))])),
])
draw = random.Random(1)
NOISE = os.urandom(1 << 24)


def row(number: int) -> dict:
    size = draw.randrange(20_000, 180_000)
    begin = draw.randrange(len(NOISE) - size)
    questions = [{"question": f"Question {number}.{k}: what stands to the left of the building in the middle of the picture?",
                  "choices": ["A) a tree", "B) a car of blue colour", "C) two people who talk", "D) nothing"], "answer": draw.choice("ABCD")}
                 for k in range(draw.randrange(1, 6))]
    return {"id": f"{number:08}", "image": {"bytes": NOISE[begin:begin + size], "path": f"{number:08}.jpg"},
            "prompt": [{"role": "user", "content": "<image> Please describe this image in detail."}],
            "data_source": "image_caption_rl", "reward_model": {"ground_truth": questions}}


with pq.ParquetWriter(FILE, SCHEMA, compression="snappy") as writer:
    number, written = 0, 0
    while written < TOTAL:
        rows = [row(number + i) for i in range(100)]
        number += len(rows)
        written += sum(len(r["image"]["bytes"]) for r in rows)
        writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
