"""Where a GPU's time goes, from a trace of caprl's programs: Chrome's JSON.

{"us", "idle_us": without a kernel, "kernels": [{"name", "calls", "us"}]}, of one pass if `marker` names a kernel that every pass ends
with: the mean of the last `passes`.
"""
import collections
import json
import pathlib
import re
import tempfile

from programs import Failed, Program

SHOWN = 16  # kernels of a table


def traced(program: Program, request: str, seconds: float, marker: str | None = None) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "trace.json")
        try:
            program.tell(f"trace {path}")
            program.ask(request, max(1, seconds))
            return summarise(path, marker)
        except (Failed, OSError) as failure:
            return {"error": str(failure)}


def summarise(path: pathlib.Path, marker: str | None = None, passes: int = 16) -> dict:
    events = json.loads(path.read_text())["traceEvents"]
    kernels = sorted(((e["ts"], e["ts"] + e["dur"], e["name"]) for e in events if e.get("cat") == "kernel"))
    if marker:
        ends = [end for _, end, name in kernels if marker in name]
        if len(ends) <= passes:
            return {"error": f"expected more than {passes} passes in {path.name}, found {len(ends)}"}
        begin, end = ends[-passes - 1], ends[-1]
        kernels = [kernel for kernel in kernels if begin <= kernel[0] and kernel[1] <= end]
    elif not kernels:
        return {"error": f"found no kernels in {path.name}"}
    else:
        passes, begin, end = 1, kernels[0][0], max(kernel[1] for kernel in kernels)
    times, calls = collections.Counter(), collections.Counter()
    busy, until = 0.0, begin
    for start, stop, name in kernels:
        times[short(name)] += stop - start
        calls[short(name)] += 1
        busy += max(0.0, stop - max(start, until))
        until = max(until, stop)
    return {"us": (end - begin) / passes, "idle_us": (end - begin - busy) / passes,
            "kernels": [{"name": name, "calls": calls[name] / passes, "us": us / passes} for name, us in times.most_common()]}


def short(name: str) -> str:
    """Without return type, namespaces, parameters and what templates are made of."""
    name = re.sub(r"\(anonymous namespace\)::|<unnamed>::", "", name.removeprefix("void "))
    name = re.split(r"[<(]", name, maxsplit=1)[0]
    return name.rsplit("::", 1)[-1]


def lines(found: dict) -> list[list]:
    """Of a table: the kernels that take longest, the others, and nothing."""
    rows = [[kernel["name"], kernel["calls"], kernel["us"]] for kernel in found["kernels"]]
    if len(rows) > SHOWN:
        rest = rows[SHOWN:]
        rows = rows[:SHOWN] + [["others", sum(row[1] for row in rest), sum(row[2] for row in rest)]]
    rows.append(["no kernel", "", found["idle_us"]])
    return [[name, calls if calls == "" else f"{calls:g}", f"{us:.1f}", f"{100 * us / found['us']:.1f} %"] for name, calls, us in rows]
