"""Measures caprl's memory-bound kernels beside what PyTorch has: raw numbers for results.py.

{"copy": {"bytes", "ms": [...]}, "cases": {name: {"shape", "bytes", "caprl": name of caprl's way, "ms": {way: [...]},
 "written": bool, "errors": {peer: number}} or {"error"}}}
"""
import subprocess
import time

from programs import Failed, Program

ANSWER_SECONDS = 60


def measure(command: list[str], seconds: float, log, samples: int, keep=lambda raw: None) -> dict:
    end = time.monotonic() + seconds
    names = subprocess.run(command + ["--list"], capture_output=True, text=True, check=True).stdout.split()
    raw = {"copy": {}, "cases": {}}
    program = None
    for name in ["", *names]:  # the copy first
        if time.monotonic() > end:
            break
        requests = [f"check {name}", f"time {name} {samples}"] if name else [f"copy {samples}"]
        answer = {}
        for request in requests:
            if "error" in answer:
                break
            program = program or Program(command, log, 0)
            try:
                answer |= program.ask(request, ANSWER_SECONDS)
            except Failed as failure:
                answer |= {"error": str(failure)}
                program = None
            if "CUDA error" in answer.get("error", "") and program:
                program.stop()
                program = None
        if name:
            raw["cases"][name] = answer
        else:
            raw["copy"] = answer
        keep(raw)
    if program:
        program.stop()
    return raw
