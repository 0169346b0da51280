#!/usr/bin/env python3
"""The include direction: a module includes only itself and modules to its left, and no other module's private headers.

Checks the project, and that each kind of violation would be found."""
import pathlib
import re
import tempfile
import unittest

MODULES = ["core", "io", "http", "checkpoint", "ops", "dist", "text", "image", "models", "generation", "reward", "data", "train", "tasks", "cli"]
SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def place_of(path):
    """(kind, module) of a path in the project: "public" for include/caprl/M/…, "private" for src/M/…, "math" for
    kernels/math/…, "kernels" for the others there; or None."""
    parts = path.parts
    if parts[:2] == ("include", "caprl") and len(parts) > 3:
        return "public", parts[2]
    if parts[0] == "src" and len(parts) > 2:
        return "private", parts[1]
    if parts[0] == "kernels":
        return "math" if parts[1] == "math" else "kernels", None
    return None


def resolve(root, file, name, quoted):
    """The included file relative to root, or None if it is not the project's."""
    folders = [root / file.parent] if quoted else []
    for folder in folders + [root / "include", root / "src", root]:
        found = (folder / name).resolve()
        if found.is_file() and found.is_relative_to(root):
            return found.relative_to(root)
    return None


def problem_with(file, included):
    """What is wrong with this include, or None."""
    kind, module = place_of(file)
    target = place_of(included)
    if target is None:
        return None
    target_kind, target_module = target
    if kind == "math":
        return None if target_kind == "math" else "kernels/math may include only itself"
    if kind == "kernels":
        return None if target_kind in ("math", "kernels") else "kernels may include nothing of the modules"
    if target_kind in ("math", "kernels") and kind == "public":
        return "a public header includes one of kernels/"
    if target_kind == "math":
        return None  # plain functions, for every module
    if target_kind == "kernels":
        return None if module == "ops" else "only ops may include kernels"
    if target_kind == "private" and kind == "public":
        return "a public header includes a private one"
    if target_kind == "private" and target_module != module:
        return f"a private header of {target_module}"
    if target_module not in MODULES:
        return f"unknown module {target_module}"
    if MODULES.index(target_module) > MODULES.index(module):
        return f"{module} may not include {target_module}, which is to its right"
    return None


def violations(root):
    """One "FILE:LINE: what is wrong" per violation."""
    root = root.resolve()
    found = []
    files = (path for top in ("include", "src", "kernels") for path in (root / top).rglob("*"))
    for path in sorted(path for path in files if path.suffix in SUFFIXES):
        file = path.relative_to(root)
        place = place_of(file)
        if place is None:
            continue  # src/pch.h: the precompiled header of all
        if place[0] in ("public", "private") and place[1] not in MODULES:
            found.append(f"{file}: unknown module {place[1]}")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            included = resolve(root, file, match[2], match[1] == '"')
            if included is None:
                if match[1] == '"' or match[2].startswith("caprl/"):
                    found.append(f"{file}:{number}: {match[2]} is no file of the project")
                continue
            problem = problem_with(file, included)
            if problem:
                found.append(f"{file}:{number}: {problem}")
    return found


class ProjectTest(unittest.TestCase):
    def test_project_has_no_violations(self):
        root = pathlib.Path(__file__).resolve().parent.parent
        self.assertTrue((root / "include/caprl/core/error.h").is_file())
        self.assertEqual(violations(root), [])


class PlantedTest(unittest.TestCase):
    """A small project to which each test adds one file."""

    FILES = {
        "include/caprl/core/error.h": "#pragma once\n#include <string>\n",
        "include/caprl/models/model.h": '#include "caprl/core/error.h"\n',
        "include/caprl/train/trainer.h": '#include "caprl/models/model.h"\n',
        "src/models/layers.h": '#include "caprl/models/model.h"\n',
        "src/models/layers.cpp": '#include "layers.h"\n#include "models/layers.h"\n#include <vector>\n',
        "src/ops/loss.cpp": '#include "kernels/loss.h"\n',
        "src/core/random.cpp": '#include "kernels/math/philox.h"\n',
        "kernels/loss.h": '#include "kernels/math/philox.h"\n',
        "kernels/loss.cu": '#include "loss.h"\n',
        "kernels/math/philox.h": '#include "kernels/math/words.h"\n',
        "kernels/math/words.h": "#include <cmath>\n",
        "src/pch.h": "#include <torch/torch.h>\n",
    }

    def check(self, extra, expected):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, content in {**self.FILES, **extra}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(content, encoding="utf-8")
            self.assertEqual(violations(root), expected)

    def test_right_includes_are_accepted(self):
        self.check({}, [])

    def test_public_header_to_the_right(self):
        self.check({"include/caprl/core/bad.h": '#pragma once\n#include "caprl/train/trainer.h"\n'},
                   ["include/caprl/core/bad.h:2: core may not include train, which is to its right"])

    def test_source_to_the_right(self):
        self.check({"src/models/bad.cpp": '#include "caprl/train/trainer.h"\n'},
                   ["src/models/bad.cpp:1: models may not include train, which is to its right"])

    def test_angle_brackets_do_not_hide_it(self):
        self.check({"src/models/bad.cpp": "#  include <caprl/train/trainer.h>\n"},
                   ["src/models/bad.cpp:1: models may not include train, which is to its right"])

    def test_private_header_of_another_module(self):
        self.check({"src/train/bad.cpp": '#include "models/layers.h"\n'},
                   ["src/train/bad.cpp:1: a private header of models"])
        self.check({"src/train/bad.cpp": '#include "../models/layers.h"\n'},
                   ["src/train/bad.cpp:1: a private header of models"])

    def test_private_header_in_a_public_one(self):
        self.check({"include/caprl/models/bad.h": '#include "../../../src/models/layers.h"\n'},
                   ["include/caprl/models/bad.h:1: a public header includes a private one"])

    def test_absent_header(self):
        self.check({"src/train/bad.cpp": '#include "caprl/core/none.h"\n#include <caprl/core/none.h>\n'},
                   ["src/train/bad.cpp:1: caprl/core/none.h is no file of the project",
                    "src/train/bad.cpp:2: caprl/core/none.h is no file of the project"])

    def test_unknown_module(self):
        self.check({"src/misc/bad.cpp": ""}, ["src/misc/bad.cpp: unknown module misc"])

    def test_kernels(self):
        self.check({"kernels/bad.cu": '#include "caprl/core/error.h"\n'},
                   ["kernels/bad.cu:1: kernels may include nothing of the modules"])
        self.check({"src/models/bad.cpp": '#include "kernels/loss.h"\n'},
                   ["src/models/bad.cpp:1: only ops may include kernels"])
        self.check({"include/caprl/ops/bad.h": '#include "kernels/loss.h"\n#include "kernels/math/philox.h"\n'},
                   ["include/caprl/ops/bad.h:1: a public header includes one of kernels/",
                    "include/caprl/ops/bad.h:2: a public header includes one of kernels/"])

    def test_math_of_kernels(self):
        self.check({"kernels/math/bad.h": '#include "kernels/loss.h"\n#include "caprl/core/error.h"\n'},
                   ["kernels/math/bad.h:1: kernels/math may include only itself",
                    "kernels/math/bad.h:2: kernels/math may include only itself"])


if __name__ == "__main__":
    unittest.main()
