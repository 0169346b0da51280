"""The peer of `tools/bench data`: pyarrow.

    python peer_data.py FILE rows|columns|train THREADS

rows: every row as Python objects, as a training loop needs it. columns: Arrow's arrays alone, no row is looked at. train: the rows' texts as
Python objects, then images far apart, for each of which pyarrow reads a row group. Prints the numbers
of rows, image bytes and questions' bytes; then every line on stdin asks for one round, "memory" for the highest resident bytes.
"""
import bisect
import resource
import sys
import time

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

FILE, HOW, THREADS = sys.argv[1], sys.argv[2], int(sys.argv[3])
COLUMNS = ["id", "image", "prompt", "reward_model"]
pa.set_cpu_count(THREADS)
pa.set_io_thread_count(THREADS)


def train() -> tuple[int, int, int]:
    file = pq.ParquetFile(FILE)
    rows = file.read(columns=["id", "image.path", "prompt", "reward_model"]).to_pylist()
    first_rows = [0]
    for group in range(file.num_row_groups):
        first_rows.append(first_rows[-1] + file.metadata.row_group(group).num_rows)
    images = 0
    for i in range(512):
        row = i * 7919 % len(rows)
        group = bisect.bisect_right(first_rows, row) - 1
        column = file.read_row_group(group, columns=["image.bytes"]).column("image")
        images += len(column[row - first_rows[group]].as_py()["bytes"])
    return len(rows), images, sum(len(q["question"]) for row in rows for q in row["reward_model"]["ground_truth"])


def one_round() -> tuple[int, int, int]:
    if HOW == "train":
        return train()
    rows = images = questions = 0
    for batch in pq.ParquetFile(FILE).iter_batches(batch_size=256, columns=COLUMNS, use_threads=True):
        if HOW == "columns":
            rows += batch.num_rows
            images += pa.compute.sum(pa.compute.binary_length(batch.column("image").field("bytes"))).as_py()
            texts = pa.compute.list_flatten(batch.column("reward_model").field("ground_truth")).field("question")
            questions += pa.compute.sum(pa.compute.binary_length(texts)).as_py()
            continue
        for row in batch.to_pylist():
            rows += 1
            images += len(row["image"]["bytes"])
            questions += sum(len(q["question"]) for q in row["reward_model"]["ground_truth"])
    return rows, images, questions


print(*one_round(), flush=True)
for line in sys.stdin:
    if line.strip() == "memory":
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)
        continue
    begin = time.perf_counter()
    one_round()
    print(time.perf_counter() - begin, flush=True)
