"""Where the main thread is while steps of the demonstration run, sampled by Linux's perf with its call stacks.

    step_share.py WORK COMMAND…      COMMAND trains without evaluations, to WORK/run; samples go to WORK

The median of RUNS runs: in minutes when neighbours use the memory, too, all that is not products takes longer.

A sample inside a product, attention or the reading of an image counts as that, waiting for its other threads included; what is neither
is "other". SwiGLU counts as a product where the product's kernel does it, and code made at run time, which oneDNN makes for its products.
Start and end of the program do not count. Only the main thread is sampled: taking samples of the others keeps them from their work, for
which it then waits. perf joins a program that runs: had it seen the launcher, it would look for the program's libraries where the launcher
had them, and lose all that the C library does.
"""
import collections
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

# Waiting for other threads in a layer's second half, which is products but for norms: a tenth.
WAITING = r"\A\[unknown\] .*libgomp.*\n(?:.*\n){0,6}.*ops::cpu::gated_half"
# The first that a stack has. Frames below a product's are not always found: its kernel alone will do.
KINDS = {
    "products": r"\A\[unknown\] \(/tmp/perf-|ops::cpu::\w+::(gated_product|product|pack)\b|linear|mkl_|gemm|addmm|at::mm|dnnl|" + WAITING,
    "attention": r"attend|attention",
    "images": r"decode_image|image::|\bpng_|jpeg_",
}
PHASES = {
    "update": r"update_policy|Engine::evaluate_function",
    "reward": r"score_captions",
    "gen": r"sample_captions",
    "other": r"GrpoTrainer::Impl::step",
}
TARGET = 15  # per cent that are neither
RUNS = 5
START = 0.3  # seconds after which a launcher has become the program
MOST_LOST = 3  # per cent of samples, without products, whose stacks end before main


def first(patterns, stack, default):
    return next((name for name, pattern in patterns.items() if re.search(pattern, stack)), default)


def record(file, command):
    program = subprocess.Popen(command, stdout=sys.stderr)
    time.sleep(START)
    try:
        subprocess.run(["perf", "record", "-q", "-t", str(program.pid), "-F", "251", "--call-graph", "dwarf,40000", "-o", file],
                       check=True, stdout=sys.stderr)
    except BaseException:
        program.terminate()
        raise
    if program.wait() != 0:
        raise subprocess.CalledProcessError(program.returncode, command)


def stacks(file):
    """The main thread's."""
    script = subprocess.Popen(["perf", "script", "-i", file, "-F", "tid,ip,sym,dso", "--no-inline"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
    main, thread, frames = None, None, []
    for line in script.stdout:
        if line.strip() and not line[0].isspace() or line.strip().isdigit():
            thread = line.split()[0]
            main = main or thread
        elif line.strip():
            frames.append(line.split(None, 1)[1].strip())
        elif frames:
            if thread == main:
                yield "\n".join(frames)
            frames = []
    if script.wait() != 0:
        sys.exit("step_share: perf script failed")


def share(work, command):
    """Percentage of one run that is "other"; all kinds are printed."""
    samples = str(work / "perf.data")
    shutil.rmtree(work / "run", ignore_errors=True)
    try:
        record(samples, command)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"step_share: {error}; Linux's perf is needed, and the right to sample (kernel.perf_event_paranoid)")
    counts, lost = collections.Counter(), 0
    for stack in stacks(samples):
        kind = first(KINDS, stack, "other")
        lost += kind == "other" and not re.search(r"^(main|_start|clone3?|__libc_start_main.*) \(", stack, re.MULTILINE)
        phase = first(PHASES, stack, "unknown" if kind == "products" else None)
        if phase:
            counts[kind, phase] += 1
    total = sum(counts.values())
    if total < 500:
        sys.exit(f"step_share: {total} samples within steps are too few")
    if 100 * lost > MOST_LOST * total:
        sys.exit(f"step_share: {lost} stacks of {total} samples end before main: what they belong to is unknown")
    for kind in [*KINDS, "other"]:
        parts = {phase: n for (of, phase), n in counts.items() if of == kind}
        text = ", ".join(f"{phase} {100 * n / total:.1f}" for phase, n in sorted(parts.items(), key=lambda part: -part[1]))
        print(f"{kind}: {100 * sum(parts.values()) / total:.1f} % ({text})")
    other = 100 * sum(n for (kind, _), n in counts.items() if kind == "other") / total
    print(f"{total} samples; other {other:.1f} %", flush=True)
    return other


def main():
    others = [share(pathlib.Path(sys.argv[1]), sys.argv[2:]) for _ in range(RUNS)]
    median = statistics.median(others)
    runs = ", ".join(f"{other:.1f}" for other in others)
    print(f"other: {median:.1f} %, the median of {runs} (target {TARGET}: {'holds' if median <= TARGET else 'missed'})")


if __name__ == "__main__":
    main()
