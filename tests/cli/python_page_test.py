#!/usr/bin/env python3
"""Runs the Python of docs/PYTHON.md that says so. python_page_test.py docs/PYTHON.md"""
import json
import pathlib
import re
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

page = pathlib.Path(sys.argv[1]).read_text()
blocks = re.findall(r"<!-- run by tests/cli/python_page_test\.py -->\n```python\n(.*?)```", page, re.S)
assert len(blocks) == 2, len(blocks)
names = {}
for block in blocks:
    exec(compile(block, sys.argv[1], "exec"), names)


def test_metrics():
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "metrics.jsonl")
        file.write_text('{"step":1,"reward":0.5}\n{"step":2,"reward":"nan","val":2.0}\n{"step":3,"rew')
        curves = names["read_metrics"](file)
    assert curves["step"] == ([1, 2], [1.0, 2.0])
    assert curves["reward"][1][0] == 0.5 and curves["reward"][1][1] != curves["reward"][1][1]
    assert curves["val"] == ([2], [2.0])


def test_reward():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    threading.Thread(target=names["serve"], args=(port,), daemon=True).start()
    captions = [{"prompt_id": 1, "sample": i, "caption": text, "num_tokens": 4} for i, text in enumerate(["A red cup.", "", "Red, green"])]

    def post(path):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps({"captions": captions}).encode())
        for _ in range(100):
            try:
                return json.load(urllib.request.urlopen(request, timeout=10))
            except urllib.error.HTTPError as error:
                return error.code
            except urllib.error.URLError:
                time.sleep(0.05)  # it starts
        raise AssertionError("no answer")

    assert post("/score") == {"values": [1 / 3, None, 1.0]}, post("/score")
    assert post("/other") == 404


test_metrics()
test_reward()
print("the page's code runs")
