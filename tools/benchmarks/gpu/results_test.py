"""The results of a GPU check from invented measurements: numbers here only test arithmetic, none was measured."""
import json
import math
import pathlib
import tempfile
import unittest
import unittest.mock

import check
import results
import stages
from targets import KERNELS, TARGETS

DOCUMENT = pathlib.Path(__file__).parents[3] / "docs/benchmarks/targets.md"


def provider(ms: float, extra: float = 0, **errors) -> dict:
    return {"ms": [ms - 1, ms, ms + 1], "extra_bytes": extra, "errors": errors}


def invented_loss() -> dict:
    shape = {"caprl_fp32": provider(40, 1.25e9, logprobs=2e-5, d_hidden=1e-3, d_weight=1e-3), "caprl_bf16": provider(39),
             "caprl_logprobs": provider(14), "products_cublaslt": provider(38), "products_aten": provider(36),
             "logits_product_aten": provider(12.6), "trl_eager": provider(90, 4e10, logprobs=0.1), "liger_fused_linear": provider(300),
             "verl": {"ms": [], "error": "no answer within 60 s"}}
    return {"shapes": {"16384": shape}, "missing": {"cut_cross_entropy": "ImportError: triton"}, "same_inputs": True}


def invented_kernels() -> dict:
    case = {"shape": "16384 × 2048", "bytes": 900, "caprl": "caprl", "ms": {"caprl": [1.0], "ATen": [2.0]}, "written": True,
            "errors": {"ATen": 1e-3}}
    return {"copy": {"bytes": 1000, "ms": [1.0, 1.0]},
            "cases": {"rms_norm": case, "swiglu": {**case, "written": False}, "adamw": {"error": "out of memory"}}}


def invented_training() -> dict:
    """An update that takes 2 s at half of the peak; unrolled, 6 s."""
    group = {"seconds": [1.0, 2.0, 9.0], "operations": results.PEAK_FLOPS, "tokens": 40, "logical_tokens": 100}
    return {"group": group, "unrolled": {**group, "seconds": [6.0], "tokens": 100, "operations": 2.4 * results.PEAK_FLOPS}}


def holds(what: str) -> list:
    measured = results.Measured(invented_loss(), invented_kernels(), training=invented_training())
    return [t.holds(measured) for t in TARGETS if what in t.what]


class Rows(unittest.TestCase):
    def setUp(self):
        loss = invented_loss()
        measured = results.Measured(loss, invented_kernels())
        self.rows = results.loss_rows(measured, loss["missing"]) + results.kernel_rows(measured)

    def row(self, what: str, peer: str) -> dict:
        return next(row for row in self.rows if row["what"].startswith(what) and row["peer"] == peer)

    def test_a_row_compares_medians(self):
        row = self.row("loss head, forward and backward, fp32", "TRL, eager")
        self.assertEqual((row["caprl_ms"], row["peer_ms"], row["ratio"], row["samples"]), (40, 90, 2.25, 3))
        self.assertEqual((row["extra_gb"], row["peer_extra_gb"]), (1.25, 40))
        self.assertEqual(row["error"], "log p 2.0e-05, dX 1.0e-03, dW 1.0e-03")

    def test_shares_are_of_the_faster_bare_products(self):
        self.assertEqual(self.row("loss head, forward and backward, fp32", "TRL, eager")["share"], 90)
        self.assertAlmostEqual(self.row("log-probabilities only", "bare product, whole (at::mm)")["share"], 90)

    def test_what_was_not_measured_says_why(self):
        self.assertEqual(self.row("loss head, forward and backward, fp32", "cut-cross-entropy")["note"], "ImportError: triton")
        self.assertEqual(self.row("loss head, forward and backward, fp32", "verl's Triton kernel")["note"], "no answer within 60 s")
        self.assertEqual(self.row("AdamW", None)["note"], "out of memory")

    def test_kernels_are_compared_with_the_copy(self):
        row = self.row("RMSNorm", "ATen")
        self.assertEqual((row["share"], row["ratio"]), (90, 2))

    def test_unwritten_results_have_no_share(self):
        self.assertIsNone(self.row("SwiGLU", "ATen")["share"])

    def test_every_line_of_a_table_has_every_column(self):
        lines = results.rows_table(self.rows).splitlines()
        self.assertEqual({line.count("|") for line in lines}, {15})
        self.assertEqual(len(lines), len(self.rows) + 2)


class Targets(unittest.TestCase):
    def test_are_judged(self):
        self.assertEqual(holds("TRL eager"), [True])
        self.assertEqual(holds("three bare products"), [True])
        self.assertEqual(holds("Liger's fused-linear"), [False])
        self.assertEqual(holds("verl's kernel"), [None])
        self.assertEqual(holds("extra peak memory"), [True])
        self.assertEqual(holds("largest error"), [True])
        self.assertEqual(holds("AdamW"), [None])
        self.assertEqual(holds("MFU"), [False])
        self.assertEqual(holds("read as a group"), [True])

    def test_updates_count_by_their_median(self):
        measured = results.Measured(None, None, None, invented_training())
        self.assertEqual([measured.a_second("group", what) for what in ("tokens", "logical_tokens")], [20, 50])
        self.assertAlmostEqual(measured.percent_of_peak("group"), 50)
        self.assertAlmostEqual(measured.percent_of_peak("unrolled"), 40)
        self.assertAlmostEqual(measured.group_ratio(), 3)

    def test_updates_that_were_not_measured_have_no_rate(self):
        for unrolled in ({"error": "no answer within 60 s"}, {"too_large": "120 GB are needed, the GPU has 85"}):
            measured = results.Measured(None, None, None, {**invented_training(), "unrolled": unrolled})
            self.assertIsNone(measured.percent_of_peak("unrolled"))
            self.assertIsNone(measured.group_ratio())
            self.assertAlmostEqual(measured.percent_of_peak("group"), 50)

    def test_nan_holds_nothing(self):
        loss = invented_loss()
        loss["shapes"]["16384"]["caprl_fp32"]["errors"]["logprobs"] = math.nan
        measured = results.Measured(loss, None)
        self.assertEqual([t.holds(measured) for t in TARGETS if "largest error" in t.what], [False])

    def test_nothing_measured_holds_nothing(self):
        self.assertEqual({t.holds(results.Measured(None, None)) for t in TARGETS}, {None})

    def test_every_kernel_has_one(self):
        self.assertEqual(sum("copy bandwidth" in t.what for t in TARGETS), len(KERNELS))

    @unittest.skipUnless(DOCUMENT.exists(), "not in the repository")
    def test_the_document_lists_them(self):
        cells = [[cell.strip() for cell in line.split("|")[1:3]] for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
        self.assertEqual(cells[2:], [[target.what, target.bound] for target in results.TARGETS])


class Check(unittest.TestCase):
    def test_writes_json_and_table_whatever_fails(self):
        def loss(context, log, keep):
            keep(invented_loss())
            raise RuntimeError("stopped in the middle")

        def kernels(context, log):
            return "passed", "", invented_kernels()

        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder)
            made = check.Check(stages.Context(out, out, False, 1))
            made.raw["environment"] = {"gpu": "invented"}
            with unittest.mock.patch("builtins.print"):
                made.part(loss)
                made.part(kernels)
            data = json.loads((out / "gpu_results.json").read_text())
            text = (out / "gpu_results.md").read_text()
        self.assertEqual([(p["name"], p["state"]) for p in data["parts"]], [("loss", "failed"), ("kernels", "passed")])
        self.assertIn("stopped in the middle", data["parts"][0]["detail"])
        self.assertEqual(len(data["targets"]), len(TARGETS))
        self.assertIn("TRL, eager", text)
        self.assertIn("failed: loss", data["summary"])

    def test_nan_is_written_as_text(self):
        self.assertEqual(check.without_nan({"a": [math.nan, 1.5]}), {"a": ["nan", 1.5]})

    def test_the_worst_state_counts(self):
        self.assertEqual(stages.worst(["passed", "skipped", "failed"]), "failed")
        self.assertEqual(stages.worst(["passed", "passed"]), "passed")
        self.assertEqual(stages.worst([]), "skipped")


if __name__ == "__main__":
    unittest.main()
