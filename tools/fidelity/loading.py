"""Peak memory of loading a model directory of full size, beside the size of its weights.

    python loading.py CAPRL CAPRL_PROBE

Makes a random Qwen2.5-VL-3B in bfloat16 (7.5 GB) in the temporary folder and removes it. Prints a JSON row
{what, measured, target, holds}.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

MOST = 1.1


def main() -> None:
    caprl, probe = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder) / "model"
        subprocess.run([caprl, "init", "--preset", "qwen2_5_vl_3b", "--out", model], check=True, stdout=subprocess.DEVNULL)
        memory = json.loads(subprocess.run([probe, "load", model], check=True, capture_output=True).stdout)
    ratio = memory["peak"] / memory["weights"]
    print(json.dumps({"what": "loading Qwen2.5-VL-3B: peak resident memory over the weights",
                      "measured": f"{ratio:.3f} ({memory['peak']:,} of {memory['weights']:,} bytes)",
                      "target": f"≤ {MOST}", "holds": ratio <= MOST}))


if __name__ == "__main__":
    main()
