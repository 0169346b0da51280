"""The peer of `tools/bench text`: Hugging Face tokenizers on one thread.

    python peer_text.py MODEL_DIR FILE

FILE holds one JSON string a line. Every line on stdin asks for one round over all of them; the answer is its seconds. Turning the
ids into Python's numbers is not counted.
"""
import json
import os
import pathlib
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # reads the environment when it is loaded

TOKENIZER = Tokenizer.from_file(str(pathlib.Path(sys.argv[1], "tokenizer.json")))
DOCUMENTS = [json.loads(line) for line in open(sys.argv[2])]

for _ in sys.stdin:
    begin = time.perf_counter()
    for start in range(0, len(DOCUMENTS), 1000):
        assert TOKENIZER.encode_batch_fast(DOCUMENTS[start:start + 1000], add_special_tokens=False)
    print(time.perf_counter() - begin, flush=True)
