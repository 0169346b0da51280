"""The scalars that TensorBoard reads in a folder of event files, as JSON: {tag: [[step, value], …]}."""
import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

accumulator = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0}).Reload()
json.dump({tag: [[event.step, event.value] for event in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}, sys.stdout)
