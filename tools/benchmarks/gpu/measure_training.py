"""Measures training updates: raw numbers for results.py.

{"group", "unrolled": {"seconds": one number an update, "tokens", "logical_tokens", "operations", "planned_bytes", "peak_bytes",
 "loss", "grad_norm"}, "update": traces.summarise of one of groups}, or {"error"}, or {"too_large": why} in their place.
"""
import time

import traces
from programs import Failed, Program

REQUESTS = {"group": "group {groups} 1304 8 512", "unrolled": "unrolled {groups} 1304 8 512"}
ROUNDS = 3
SECONDS_TO_LOAD = 60


def measure(command: list[str], seconds: float, log, groups: int, keep=lambda raw: None) -> dict:
    end = time.monotonic() + seconds
    raw = {}
    program = None
    for name, request in REQUESTS.items():
        times = []
        try:
            program = program or Program(command, log, min(SECONDS_TO_LOAD, seconds))
            while len(times) < ROUNDS and (not times or time.monotonic() < end):
                got = program.ask(request.format(groups=groups), max(1, end - time.monotonic()))
                if "seconds" not in got:  # it is the same next time
                    raw[name] = got
                    break
                times.append(got["seconds"])
                raw[name] = {**got, "seconds": list(times)}
                keep(raw)
        except Failed as failure:
            raw.setdefault(name, {"error": str(failure)})  # what was measured before counts
            program = None
        keep(raw)
        if time.monotonic() > end:
            break
    if program:
        if time.monotonic() < end and "seconds" in raw["group"]:
            raw["update"] = traces.traced(program, REQUESTS["group"].format(groups=groups), end - time.monotonic())
            keep(raw)
        program.stop()
    return raw
