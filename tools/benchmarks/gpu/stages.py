"""The parts of a GPU check. Each returns (state, detail, result) and leaves what it printed in a log; state is "passed", "failed",
"skipped" or "timed out". A part that goes wrong never stops the next one."""
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

import measure_kernels
import measure_loss
import measure_rollouts
import measure_training
from programs import run

SANITIZERS = ("memcheck", "racecheck", "synccheck", "initcheck")
# Of the kernels' tests, what runs in seconds even under a sanitizer.
SLOW_TESTS = "*Many*:*Large*:*Thousands*:*EverySize*:*AllVocabularies*:*GoRoundAgain*:*ManySteps*"
SCORE_TOLERANCE = 1e-3
PROMPT = {"id": "1", "prompt": "There is a red circle.", "response": " The circle is red."}


class Context:
    def __init__(self, root: pathlib.Path, out: pathlib.Path, quick: bool, seconds: float):
        self.root, self.out, self.quick = root, out, quick
        self.end = time.monotonic() + seconds

    def program(self, name: str) -> str:
        return str(self.root / "lib/caprl" / name)

    def share(self, name: str) -> pathlib.Path:
        return self.root / "share/caprl" / name

    def left(self, at_most: float) -> float:
        return max(0, min(at_most, self.end - time.monotonic()))

    def tests(self) -> list[str]:
        return sorted(path.name for path in (self.root / "lib/caprl").glob("test_*"))


def environment(context: Context, log):
    query = "name,driver_version,memory.total,clocks.max.sm,compute_cap"
    status, gpu = run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"], 20, log) if shutil.which("nvidia-smi") else (1, "")
    torch = "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available(), torch.cuda.is_available() and torch.cuda.get_device_name())"
    found = {"gpu": gpu.strip() if status == 0 else "none", "python": sys.version.split()[0],
             "torch": (run([sys.executable, "-c", torch], 60, log)[1].strip().splitlines() or ["none"])[-1],
             "caprl": run([context.program("caprl"), "--version"], 60, log)[1].strip().replace("\n", ", ")}
    if shutil.which("nvcc"):
        found["nvcc"] = run(["nvcc", "--version"], 20, log)[1].strip().splitlines()[-1]
    usable = " True " in found["torch"]
    return ("passed" if usable else "failed"), ("" if usable else "PyTorch sees no GPU"), found


def tests(context: Context, log):
    states, details = [], []
    for name in context.tests():
        status, output = run([context.program(name)], context.left(90), log)
        counted = re.findall(r"\[  (?:PASSED|FAILED)  \] \d+ tests?", output)
        skipped = "SKIPPED: no GPU" in output or "SKIPPED: there is no GPU" in output
        ran = bool(re.search(r"Running [1-9]\d* test", output))
        states.append("timed out" if status is None else "skipped" if skipped else "passed" if ran and status == 0 else "failed")
        details.append(f"{name}: {states[-1]}" + (f" ({counted[0].split('] ')[1]})" if counted else ""))
    return worst(states), "; ".join(details), None


def worst(states: list[str]) -> str:
    return next((s for s in ("failed", "timed out", "skipped") if s in states), "passed" if states else "skipped")


def score(context: Context, log):
    """A tiny captioner and a tiny answerer give the same log-probabilities on the GPU as on the CPU."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        rows = pathlib.Path(folder, "rows.jsonl")
        rows.write_text(json.dumps(PROMPT) + "\n")
        for model in ("answerer", "captioner"):
            sides = []
            for device in ("cpu", "cuda"):
                status, output = run([context.program("caprl"), "score", "--model", str(context.share(f"models/{model}")), "--input",
                                      str(rows), "--device", device], context.left(40), log)
                if status != 0:
                    return ("timed out" if status is None else "failed"), f"{model} on {device}", found
                sides.append(json.loads(output.strip().splitlines()[-1])["logprobs"])
            found[model] = max(abs(a - b) for a, b in zip(*sides))
    good = all(difference <= SCORE_TOLERANCE for difference in found.values())
    return ("passed" if good else "failed"), f"largest difference {max(found.values()):.1e}", found


# As a launcher starts ranks on one machine.
RANKS = """
for rank in $(seq 0 $(($1 - 1))); do
  RANK=$rank LOCAL_RANK=$rank WORLD_SIZE=$1 LOCAL_WORLD_SIZE=$1 MASTER_ADDR=127.0.0.1 MASTER_PORT=29611 "$2" doctor --network --device cuda --timeout 30 &
  ranks="$ranks $!"
done
for rank in $ranks; do wait $rank || exit 1; done
"""


def network(context: Context, log):
    """NCCL between ranks: one, and as many as there are GPUs."""
    status, output = run(["nvidia-smi", "--list-gpus"], 20, log) if shutil.which("nvidia-smi") else (1, "")
    gpus = output.count("GPU ") if status == 0 else 0
    states, details = [], []
    for ranks in sorted({1, gpus} - {0}):
        status, output = run(["sh", "-c", RANKS, "sh", str(ranks), context.program("caprl")], context.left(60), log)
        works = status == 0 and "the network works" in output
        states.append("timed out" if status is None else "passed" if works else "failed")
        details += [f"{ranks} ranks: {states[-1]}"] + [line for line in output.splitlines() if "64000 kB" in line]
    return worst(states), "; ".join(details), None


def find_sanitizer() -> str | None:
    toolkit = "/usr/local/cuda"
    candidates = [os.environ.get("CAPRL_SANITIZER"), shutil.which("compute-sanitizer"), f"{toolkit}/bin/compute-sanitizer",
                  f"{toolkit}/compute-sanitizer/compute-sanitizer"]
    return next((path for path in candidates if path and os.access(path, os.X_OK)), None)


def sanitizer(context: Context, log):
    tool_path = find_sanitizer()
    if tool_path is None:
        return "skipped", "compute-sanitizer is not installed", None
    end, states, details = time.monotonic() + context.left(30 if context.quick else 100), [], []
    for tool in SANITIZERS[:1] if context.quick else SANITIZERS:
        for name in (name for name in context.tests() if name.startswith("test_kernels")):
            status, output = run([tool_path, "--tool", tool, "--error-exitcode", "86", context.program(name),
                                  f"--gtest_filter=-{SLOW_TESTS}"], end - time.monotonic(), log)
            refused = "Device not supported" in output or "Failed to initialize" in output
            states.append("timed out" if status is None else "skipped" if refused else "failed" if status else "passed")
            details.append(f"{tool}: {states[-1]}")
    return worst(states), "; ".join(details), None


def kernels(context: Context, log, keep):
    raw = measure_kernels.measure([context.program("caprl-bench-kernels")], context.left(80), log, 10 if context.quick else 30, keep)
    bad = [name for name, case in raw["cases"].items() if "error" in case or not case.get("written")]
    return ("failed" if bad else "passed"), ("not right: " + ", ".join(bad) if bad else f"{len(raw['cases'])} kernels"), raw


def rollouts(context: Context, log, keep):
    """A model of the size of Qwen2.5-VL-3B with random weights writes captions."""
    raw = measure_rollouts.measure([context.program("caprl-bench-rollouts"), "qwen2_5_vl_3b"], context.left(110), log,
                                   32 if context.quick else 256, keep)
    bad = [f"{name}: {got['error']}" for name, got in raw.items() if "error" in got]
    return ("failed" if bad else "passed"), "; ".join(bad), raw


def training(context: Context, log, keep):
    """A model of the size of Qwen2.5-VL-3B with random weights learns: from groups, and from captions each with its prompt."""
    raw = measure_training.measure([context.program("caprl-bench-updates"), "qwen2_5_vl_3b"], context.left(100), log,
                                   2 if context.quick else 8, keep)
    bad = [f"{name}: {got['error']}" for name, got in raw.items() if "error" in got]
    too_large = [f"{name}: {got['too_large']}" for name, got in raw.items() if "too_large" in got]
    unfinished = len(raw) < len(measure_training.REQUESTS)
    state = "failed" if bad else "skipped" if too_large else "timed out" if unfinished else "passed"
    return state, "; ".join(bad + too_large), raw


def loss(context: Context, log, keep):
    here = pathlib.Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        raw = measure_loss.measure(
            [context.program("caprl-bench-loss"), folder],
            [sys.executable, str(here / "peer_loss.py"), folder, "--wheels", str(context.share("peers"))],
            pathlib.Path(folder), context.left(300), log, shapes=(16384,) if context.quick else measure_loss.ROWS,
            rounds=2 if context.quick else measure_loss.ROUNDS, keep=keep)
    if raw["same_inputs"] is False:
        return "failed", "caprl and its peers did not get the same inputs", raw
    own = [f"{name} at {rows} rows: {got['error']}" for rows, shape in raw["shapes"].items() for name, got in shape.items()
           if name.startswith("caprl") and "error" in got]
    unfinished = len(raw["shapes"]) < (1 if context.quick else len(measure_loss.ROWS))
    return ("failed" if own else "timed out" if unfinished else "passed"), "; ".join(own), raw
