"""Measures the generation engine: raw numbers for results.py.

{"decode_64", "decode_256": {"tokens", "seconds", "steps", "host_seconds", "sample_seconds"}, "prefill_32": {"tokens", "seconds",
 "operations"}, "pass_64": traces.summarise of one pass}, or {"error"} in their place.
"""
import time

import traces
from programs import Failed, Program

REQUESTS = {"decode_64": "decode 64 1296 {new}", "decode_256": "decode 256 1296 {new}", "prefill_32": "prefill 32"}
TRACED = "decode 64 1296 48"
SECONDS_TO_LOAD = 60


def measure(command: list[str], seconds: float, log, new_tokens: int, keep=lambda raw: None) -> dict:
    end = time.monotonic() + seconds
    raw = {}
    program = None
    for name, request in REQUESTS.items():
        try:
            program = program or Program(command, log, min(SECONDS_TO_LOAD, seconds))
            for tokens in (8, new_tokens):  # the first round warms up
                raw[name] = program.ask(request.format(new=tokens), max(1, end - time.monotonic()))
        except Failed as failure:
            raw[name] = {"error": str(failure)}
            program = None
        keep(raw)
        if time.monotonic() > end:
            break
    if program:
        if time.monotonic() < end:
            raw["pass_64"] = traces.traced(program, TRACED, end - time.monotonic(), marker="sampler_kernel")
            keep(raw)
        program.stop()
    return raw
