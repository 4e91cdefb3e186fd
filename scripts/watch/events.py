#!/usr/bin/env python3
"""Compares a run's TensorBoard files with its metrics, or makes the fixture that the writer's test reads.

    events.py RUN_FOLDER            reads tensorboard/ back by TensorBoard itself
    events.py --fixture FOLDER      writes FOLDER/events from FOLDER/metrics.jsonl and FOLDER/samples.jsonl

Needs the package tensorboard.
"""

import argparse
import json
import math
import pathlib
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
from tensorboard.compat.tensorflow_stub import dtypes
from tensorboard.summary.writer.record_writer import RecordWriter

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "Sources/Runs/Trackers"))
# A number has the same name wherever a run's numbers go.
from trackers import numbers

TIME = 1795000000.25


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def read_back(run):
    lines = {}
    for text in (run / "metrics.jsonl").read_text().splitlines():
        line = json.loads(text)
        lines[line["step"]] = line
    size = {"scalars": 0, "tensors": 0}
    accumulator = EventAccumulator(str(run / "tensorboard"), size_guidance=size)
    accumulator.Reload()
    found = {(e.step, tag): e.value for tag in accumulator.Tags()["scalars"] for e in accumulator.Scalars(tag)}
    wanted = {(step, tag): value for step, line in lines.items() for tag, value in numbers(line).items()}
    wrong = [key for key in wanted.keys() | found.keys() if key not in found or key not in wanted]
    wrong += [key for key in wanted.keys() & found.keys() if found[key] != single(wanted[key])]
    tags = accumulator.Tags()
    texts = [tag for tag in tags["tensors"] if "/response_" in tag]
    print(f"{len(found)} numbers, {len(tags['histograms'])} histograms, {len(texts)} texts, {len(wrong)} wrong")
    for key in sorted(wrong)[:10]:
        print(f"step {key[0]}, {key[1]}: {found.get(key)}, and metrics.jsonl has {wanted.get(key)}", file=sys.stderr)
    return 1 if wrong or not found or not texts or not tags["histograms"] else 0


def limits():
    positive = [factor * 2.0**exponent for exponent in range(-8, 6) for factor in (1.0, 1.5)]
    return [-value for value in reversed(positive)] + [0.0] + positive + [sys.float_info.max]


def histogram(values):
    ends = limits()
    counts = [0.0] * len(ends)
    for value in values:
        counts[next(i for i, end in enumerate(ends) if value <= end)] += 1
    first = max(0, next(i for i, c in enumerate(counts) if c) - 1)
    last = max(i for i, c in enumerate(counts) if c) + 1
    total = squares = 0.0
    for value in values:
        total += value
        squares += value * value
    return summary_pb2.HistogramProto(
        min=min(values),
        max=max(values),
        num=len(values),
        sum=total,
        sum_squares=squares,
        bucket_limit=ends[first:last],
        bucket=counts[first:last],
    )


def differences(sample):
    return [single(b) - single(t) for b, t in zip(sample["student_logprobs"], sample["teacher_logprobs"], strict=True)]


def markdown(sample):
    def block(text):
        return "\n".join("    " + line for line in text[:4000].split("\n"))

    kl = math.fsum(differences(sample)) / len(sample["ids"])
    heading = f"{len(sample['ids'])} tokens, {sample['finish_reason']}, {kl:.4f} nats a token from the teacher"
    if "passed" in sample:
        heading += ", passed" if sample["passed"] else ", not passed"
    return f"{heading}\n\nprompt\n\n{block(sample['prompt'])}\n\nresponse\n\n{block(sample['response'])}\n"


def write_fixture(folder):
    line = json.loads((folder / "metrics.jsonl").read_text())
    samples = [json.loads(text) for text in (folder / "samples.jsonl").read_text().splitlines()]
    step = line["step"]
    start = event_pb2.Event(wall_time=TIME, step=step)
    start.session_log.status = event_pb2.SessionLog.START
    events = [event_pb2.Event(wall_time=TIME, file_version="brain.Event:2"), start]

    def add(values):
        events.append(event_pb2.Event(wall_time=TIME, step=step, summary=summary_pb2.Summary(value=values)))

    value = summary_pb2.Summary.Value
    add([value(tag=tag, simple_value=number) for tag, number in numbers(line).items()])
    kind = samples[0]["kind"]
    differing = [difference for sample in samples for difference in differences(sample)]
    add([value(tag=f"{kind}/divergence_by_token", histo=histogram(differing))])
    for index, sample in enumerate(samples[:2]):
        shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)])
        tensor = tensor_pb2.TensorProto(
            dtype=dtypes.string.as_datatype_enum, tensor_shape=shape, string_val=[markdown(sample).encode()]
        )
        plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name="text")
        metadata = summary_pb2.SummaryMetadata(plugin_data=plugin)
        add([value(tag=f"{kind}/response_{index}", tensor=tensor, metadata=metadata)])
    with open(folder / "events", "wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--fixture", action="store_true")
    options = parser.parse_args()
    sys.exit(write_fixture(options.folder) if options.fixture else read_back(options.folder))


if __name__ == "__main__":
    main()
