"""The scalars that TensorBoard reads in a folder of event files, as JSON: {tag: [[step, value], …]}.

Read twice, by the accumulator that its server uses and by the one that scripts use: both must agree."""
import json
import sys

from tensorboard.backend.event_processing import event_accumulator, plugin_event_accumulator
from tensorboard.util import tensor_util

server = plugin_event_accumulator.EventAccumulator(sys.argv[1], tensor_size_guidance={"scalars": 0}).Reload()
scripts = event_accumulator.EventAccumulator(sys.argv[1], size_guidance={"scalars": 0}).Reload()
read = {tag: [[event.step, tensor_util.make_ndarray(event.tensor_proto).item()] for event in server.Tensors(tag)]
        for tag in server.Tags()["tensors"]}
other = {tag: [[event.step, event.value] for event in scripts.Scalars(tag)] for tag in scripts.Tags()["scalars"]}
if read != other:
    sys.exit(f"TensorBoard's readers differ: {read} and {other}")
json.dump(read, sys.stdout)
