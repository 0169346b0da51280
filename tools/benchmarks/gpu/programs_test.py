"""Taking turns with programs that misbehave."""
import pathlib
import sys
import tempfile
import time
import unittest

import measure_loss
import measure_training
from programs import Failed, Program, run

# Answers like the benchmarks' programs; provider "dies" ends it, "hangs" keeps it from answering, "refuses" is an error.
FAKE = r"""
import json, os, pathlib, struct, sys, time
names = sys.argv[2].split(",")
skip = sys.argv[sys.argv.index("--skip") + 1:] if "--skip" in sys.argv else []
print(json.dumps({"providers": [n for n in names if n not in skip], "missing": {}, "checksums": [1, 2]}), flush=True)
for line in sys.stdin:
    verb, name, rows, last = line.split()
    if name == "dies": os._exit(3)
    if name == "hangs": time.sleep(60)
    answer = {"ms": [1.0] * 2, "extra_bytes": 5}
    if name == "refuses": answer = {"error": "out of memory"}
    if name == "sticky": answer = {"error": "CUDA error: an illegal memory access was encountered"}
    if verb == "write":
        code, end = ("d", "f64") if name == "reference" else ("f", "f32")
        for what in ("logprobs", "d_hidden", "d_weight"):
            pathlib.Path(f"{last}{what}.{end}").write_bytes(struct.pack(code * 2, 1.0, 2.0 if code == "d" else 2.5))
    print(json.dumps(answer), flush=True)
"""

# Answers like caprl-bench-updates; the word on its command line is what happens to unrolled work.
FAKE_UPDATES = r"""
import json, os, sys
print(json.dumps({"ready": True}), flush=True)
for number, line in enumerate(sys.stdin):
    if line.startswith("trace"):
        kernels = [{"cat": "kernel", "name": "void a::b<int>(int)", "ts": 5, "dur": 20}]
        open(line.split()[1], "w").write(json.dumps({"traceEvents": kernels}))
        continue
    if line.startswith("unrolled"):
        if sys.argv[1] == "dies": os._exit(3)
        if sys.argv[1] in ("error", "too_large"):
            print(json.dumps({sys.argv[1]: "it needs 120 GB"}), flush=True)
            continue
    print(json.dumps({"seconds": float(number), "tokens": int(line.split()[1])}), flush=True)
"""


class Fakes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.log = open(self.folder / "log", "w")
        self.addCleanup(self.log.close)

    def command(self, name: str, providers: str) -> list[str]:
        script = self.folder / name
        script.write_text(FAKE)
        return [sys.executable, str(script), "inputs", providers]

    def measure(self, peers: str) -> dict:
        return measure_loss.measure(self.command("caprl", "caprl_fp32"), self.command("peer_loss.py", peers), self.folder, 60,
                                    self.log, shapes=(8, 16), rounds=2)


class Measure(Fakes):
    def test_takes_turns_and_compares_with_the_reference(self):
        raw = self.measure("good")
        self.assertTrue(raw["same_inputs"])
        self.assertEqual(list(raw["shapes"]), ["8", "16"])
        for name in ("caprl_fp32", "good"):
            result = raw["shapes"]["8"][name]
            self.assertEqual((result["ms"], result["extra_bytes"]), ([1.0] * 4, 5))
            self.assertEqual(result["errors"]["logprobs"], 0.5)
            self.assertAlmostEqual(result["errors"]["d_hidden"], 0.5 / 5 ** 0.5)

    def test_goes_on_without_what_broke(self):
        for bad, word in (("dies", "status 3"), ("refuses", "out of memory"), ("sticky", "illegal")):
            raw = self.measure(f"{bad},good")
            for shape in raw["shapes"].values():
                self.assertIn(word, shape[bad]["error"])
                self.assertEqual(len(shape["good"]["ms"]), 4)

    def test_measures_alone_if_no_peer_starts(self):
        raw = measure_loss.measure(self.command("caprl", "caprl_fp32"), [sys.executable, "-c", "pass"], self.folder, 60, self.log,
                                   shapes=(8,), rounds=1)
        self.assertEqual(len(raw["shapes"]["8"]["caprl_fp32"]["ms"]), 2)
        self.assertIn("ended", raw["missing"]["all peers"])


class Training(Fakes):
    def measure(self, unrolled: str) -> dict:
        script = self.folder / "updates"
        script.write_text(FAKE_UPDATES)
        return measure_training.measure([sys.executable, str(script), unrolled], 60, self.log, 4)

    def test_every_update_counts_and_one_is_traced(self):
        update = {"us": 20, "idle_us": 0, "kernels": [{"name": "b", "calls": 1, "us": 20}]}
        self.assertEqual(self.measure("good"), {"group": {"seconds": [0, 1, 2], "tokens": 4},
                                                "unrolled": {"seconds": [3, 4, 5], "tokens": 4}, "update": update})

    def test_groups_are_measured_whatever_happens_to_unrolled_work(self):
        for bad in ("dies", "error", "too_large"):
            raw = self.measure(bad)
            self.assertEqual(raw["group"]["seconds"], [0, 1, 2])
            self.assertEqual(list(raw["unrolled"]), ["error" if bad == "dies" else bad])


class Programs(Fakes):
    def test_a_program_that_does_not_answer_is_ended(self):
        program = Program(self.command("fake", "hangs"), self.log, 30)
        with self.assertRaisesRegex(Failed, "no answer within"):
            program.ask("time hangs 8 1", 0.2)
        self.assertIsNotNone(program.process.returncode)

    def test_a_command_that_takes_too_long_is_ended_with_what_it_started(self):
        alive = self.folder / "alive"
        status, output = run(["sh", "-c", f"echo began; (sleep 2; touch '{alive}') & sleep 60"], 1, self.log)
        self.assertEqual((status, output), (None, "began\n"))
        time.sleep(1.5)
        self.assertFalse(alive.exists())


if __name__ == "__main__":
    unittest.main()
