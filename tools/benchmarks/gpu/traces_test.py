"""Traces of invented kernels."""
import json
import pathlib
import tempfile
import unittest

import traces


def kernel(name: str, begin: float, dur: float) -> dict:
    return {"cat": "kernel", "name": name, "ts": begin, "dur": dur}


def of_passes(count: int) -> list[dict]:
    """100 µs each: a product of 40, 10 with nothing, two norms of 5 of which one runs beside it, the sampler's 20."""
    events = [{"cat": "cpu_op", "name": "aten::mm", "ts": 0, "dur": 1000 * count}]
    for begin in range(0, 100 * count, 100):
        events += [kernel("nvjet_sm90_tst_64x64_TNT", begin, 40),
                   kernel("void caprl::kernels::(anonymous namespace)::packs_kernel<caprl::kernels::Bf16, true>(caprl::X)", begin + 35, 5),
                   kernel("void caprl::kernels::(anonymous namespace)::packs_kernel<caprl::kernels::Bf16, true>(caprl::X)", begin + 50, 5),
                   kernel("caprl::kernels::(anonymous namespace)::sampler_kernel(caprl::kernels::SamplerRows)", begin + 80, 20)]
    return events


class Traces(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name, "trace.json")

    def tearDown(self):
        self.folder.cleanup()

    def summarise(self, events: list[dict], **options) -> dict:
        self.path.write_text(json.dumps({"traceEvents": events}))
        return traces.summarise(self.path, **options)

    def test_a_pass_is_the_mean_of_the_last(self):
        found = self.summarise([kernel("a_prompt(int)", -500, 400), *of_passes(6)], marker="sampler_kernel", passes=4)
        self.assertEqual((found["us"], found["idle_us"]), (100, 35))
        self.assertEqual(found["kernels"], [{"name": "nvjet_sm90_tst_64x64_TNT", "calls": 1, "us": 40},
                                            {"name": "sampler_kernel", "calls": 1, "us": 20},
                                            {"name": "packs_kernel", "calls": 2, "us": 10}])

    def test_all_of_it(self):
        found = self.summarise(of_passes(2))
        self.assertEqual((found["us"], found["idle_us"]), (200, 70))
        self.assertEqual(found["kernels"][0]["us"], 80)

    def test_what_is_not_there_is_said(self):
        self.assertIn("more than 4 passes", self.summarise(of_passes(4), marker="sampler_kernel", passes=4)["error"])
        self.assertIn("no kernels", self.summarise([])["error"])

    def test_tables_end_with_the_rest(self):
        found = self.summarise([kernel(f"k{i}(int)", 10 * i, 10 - i / 10) for i in range(20)])
        rows = traces.lines(found)
        self.assertEqual(len(rows), traces.SHOWN + 2)
        self.assertEqual(rows[0], ["k0", "1", "10.0", "5.0 %"])
        self.assertEqual([row[0] for row in rows[-2:]], ["others", "no kernel"])
        self.assertAlmostEqual(sum(float(row[2]) for row in rows), found["us"], delta=1)


if __name__ == "__main__":
    unittest.main()
