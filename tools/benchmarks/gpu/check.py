"""Checks and measures caprl on this machine's GPU: what tools/gpu_check.sh run does.

    python check.py --root BUNDLE [--out DIR] [--quick] [--only PART…]

Writes DIR/gpu_results.json and DIR/gpu_results.md after every part, and a log for each. Exit code 1 if a test failed.
"""
import argparse
import inspect
import json
import math
import pathlib
import time
import traceback

import results
import stages
import traces

SECONDS = 540  # in all; every part has a limit of its own within
PARTS = (stages.tests, stages.score, stages.sanitizer, stages.network, stages.kernels, stages.rollouts, stages.training,
         stages.loss)
MEASURED = ("loss", "kernels", "rollouts", "training")  # as results.Measured takes them


class Check:
    def __init__(self, context: stages.Context):
        self.context, self.parts, self.raw = context, [], dict.fromkeys(MEASURED)

    def part(self, work) -> None:
        name, begin = work.__name__, time.monotonic()
        print(f"gpu_check: {name} …", flush=True)
        keep = {"keep": lambda raw: self.keep(name, raw)} if "keep" in inspect.signature(work).parameters else {}
        with open(self.context.out / f"{name}.log", "w") as log:
            try:
                state, detail, result = work(self.context, log, **keep)
            except Exception as error:  # the next part may work
                traceback.print_exc(file=log)
                state, detail, result = "failed", f"{type(error).__name__}: {error}", self.raw.get(name)
        seconds = round(time.monotonic() - begin, 1)
        self.parts.append({"name": name, "state": state, "seconds": seconds, "detail": detail})
        print(f"gpu_check: {name}: {state} in {seconds} s {detail}", flush=True)
        self.keep(name, result)

    def keep(self, name: str, result) -> None:
        self.raw[name] = result
        self.write()

    def measured(self) -> results.Measured:
        return results.Measured(*(self.raw[name] for name in MEASURED))

    def rows(self) -> list[dict]:
        missing = (self.raw["loss"] or {}).get("missing", {})
        return results.loss_rows(self.measured(), missing) + results.kernel_rows(self.measured())

    def summary(self) -> str:
        return results.summary(self.parts, self.measured())

    def write(self) -> None:
        measured, rows = self.measured(), self.rows()
        targets = [{"what": t.what, "target": t.bound, "measured": t.value(measured), "holds": t.holds(measured)}
                   for t in results.TARGETS]
        data = {"summary": self.summary(), "environment": self.raw.get("environment"), "parts": self.parts, "targets": targets,
                "rows": rows, "raw": {name: self.raw[name] for name in MEASURED}}
        write_whole(self.context.out / "gpu_results.json", json.dumps(without_nan(data), indent=1, ensure_ascii=False) + "\n")
        environment = results.table(["", ""], [[k, v] for k, v in (self.raw.get("environment") or {}).items()])
        parts = results.table(["part", "state", "seconds", "detail"], [list(part.values()) for part in self.parts])
        write_whole(self.context.out / "gpu_results.md", "\n\n".join([
            "# caprl on a GPU", environment, self.summary(), "## Targets", results.targets_table(measured), "## Measurements",
            results.rows_table(rows), *self.traces(), "## Parts", parts]) + "\n")

    def traces(self) -> list[str]:
        found = {"A pass of decoding, 64 captions": (self.raw["rollouts"] or {}).get("pass_64"),
                 "An update of groups": (self.raw["training"] or {}).get("update")}
        return [text for title, trace in found.items() if trace and "kernels" in trace
                for text in (f"## {title}: {trace['us']:.0f} µs",
                             results.table(["kernel", "calls", "µs", "share"], traces.lines(trace)))]


def write_whole(path: pathlib.Path, text: str) -> None:
    """A reader never sees half a file, however the check ends."""
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


def without_nan(data):
    """JSON has no NaN: it becomes the text."""
    if isinstance(data, dict):
        return {key: without_nan(value) for key, value in data.items()}
    if isinstance(data, list):
        return [without_nan(value) for value in data]
    return str(data) if isinstance(data, float) and not math.isfinite(data) else data


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("gpu_results"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=[part.__name__ for part in PARTS], metavar="PART", help="default: all")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    check = Check(stages.Context(options.root.resolve(), options.out.resolve(), options.quick, SECONDS))
    check.part(stages.environment)
    if check.parts[0]["state"] == "passed":
        for work in PARTS:
            if not options.only or work.__name__ in options.only:
                check.part(work)
    print(results.targets_table(check.measured()))
    print(check.summary())
    return 1 if any(part["state"] == "failed" for part in check.parts) else 0


if __name__ == "__main__":
    raise SystemExit(main())
