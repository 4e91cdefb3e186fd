"""Hands the numbers of a run to the clients of Weights & Biases, trackio and MLflow.

A run of opd starts this as a process of its own, and writes JSON lines to its standard input: first
{"begin": {"name": ..., "folder": ..., "resumes_after": STEP or null, "configuration": {...},
"trackers": {"wandb": PROJECT, "trackio": PROJECT, "mlflow": EXPERIMENT}}}, then {"metrics": LINE} for every line of
metrics.jsonl, and in the end {"end": "finished"} or {"end": "stopped"}. Where the lines end without an end, the run has
failed. Standard output and error are its log. What a client throws is said once, and that client is left alone from
then on; the others go on.

With --check NAME... it tells which of these clients are not installed, a line each.
"""

import importlib
import importlib.util
import json
import os
import pathlib
import sys
import uuid

NAMES = ("wandb", "trackio", "mlflow")


def group(name):
    """The section of a number, as in TensorBoard's files."""
    if name.startswith("eval_"):
        return "evaluation"
    if name.startswith("tokens_"):
        return "tokens"
    if name.endswith("_flops"):
        return "operations"
    if name.endswith(("_s", "_per_second")):
        return "time"
    return "train"


def numbers(line):
    """What of a line of metrics.jsonl is a number, by its name here; of an object each of its numbers."""
    found = {}
    for name, value in line.items():
        members = {name: value}
        if isinstance(value, dict):
            members = {f"{name}/{safe(member)}": number for member, number in value.items()}
        for member, number in members.items():
            if name != "step" and isinstance(number, (int, float)) and not isinstance(number, bool):
                found[f"{group(name)}/{member}"] = number
    return found


def safe(name):
    """A name that is the run's own, with what not every client takes in a name as an underscore."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-. ") else "_" for letter in name)


class Identity:
    """The name that a client knows the run by, kept in the run's folder so that a run that goes on is found again."""

    def __init__(self, begin, client):
        self.path = pathlib.Path(begin["folder"], "trackers", f"{client}.id")
        self.resumes = begin.get("resumes_after") is not None
        self.known = None
        if self.resumes and self.path.is_file():
            self.known = self.path.read_text().strip() or None

    def keep(self, value):
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(f"{value}\n")


class WeightsAndBiases:
    def __init__(self, client, begin, project):
        identity = Identity(begin, "wandb")
        name = identity.known or uuid.uuid4().hex[:12]
        self.run = client.init(
            project=project,
            name=begin["name"],
            id=name,
            resume="allow",
            dir=begin["folder"],
            config=begin["configuration"],
        )
        identity.keep(name)
        self.run.define_metric("*", step_metric="step")

    def log(self, step, values):
        # With a step of our own: wandb's own one cannot go back, which a run that goes on from a checkpoint does.
        self.run.log({"step": step, **values})

    def end(self, how):
        self.run.finish(exit_code=1 if how == "failed" else 0)


class Trackio:
    def __init__(self, client, begin, project):
        self.client = client
        # Beside the run's name something that no other run of the project has.
        identity = Identity(begin, "trackio")
        name = identity.known or f"{begin['name']}-{uuid.uuid4().hex[:6]}"
        client.init(project=project, name=name, resume="allow", config=begin["configuration"])
        identity.keep(name)

    def log(self, step, values):
        self.client.log(values, step=step)

    def end(self, _how):
        self.client.finish()


class MLflow:
    def __init__(self, client, begin, experiment):
        self.client = client
        client.set_experiment(experiment)
        identity = Identity(begin, "mlflow")
        if identity.known:
            run = client.start_run(run_id=identity.known)
        else:
            run = client.start_run(run_name=begin["name"])
            # A parameter cannot be given twice, and has a bounded length.
            client.log_params({name: str(value)[:500] for name, value in begin["configuration"].items()})
        identity.keep(run.info.run_id)

    def log(self, step, values):
        self.client.log_metrics(values, step=step)

    def end(self, how):
        self.client.end_run({"finished": "FINISHED", "stopped": "KILLED"}.get(how, "FAILED"))


CLASSES = {"wandb": WeightsAndBiases, "trackio": Trackio, "mlflow": MLflow}


def missing(names):
    return [name for name in names if importlib.util.find_spec(name) is None]


class Trackers:
    def __init__(self):
        self.live = {}

    def guarded(self, name, body, *arguments):
        try:
            return body(*arguments)
        except Exception as error:
            self.live.pop(name, None)
            said = " ".join(str(error).split())[:500]
            print(f"{name}: {type(error).__name__}: {said}; it gets no more of this run", file=sys.stderr, flush=True)
            return None

    def begin(self, begin):
        for name, place in begin["trackers"].items():
            made = self.guarded(name, self.made, name, begin, place)
            if made is not None:
                self.live[name] = made

    @staticmethod
    def made(name, begin, place):
        return CLASSES[name](importlib.import_module(name), begin, place)

    def log(self, line):
        values = numbers(line)
        for name, tracker in list(self.live.items()):
            self.guarded(name, tracker.log, line["step"], values)

    def end(self, how):
        for name, tracker in list(self.live.items()):
            self.guarded(name, tracker.end, how)


def main(arguments):
    # What lies in the folder that a run is started in is no module.
    sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())]
    if arguments[:1] == ["--check"]:
        for name in missing(arguments[1:]):
            print(name)
        return 0
    trackers = Trackers()
    how = "failed"
    for text in sys.stdin:
        line = json.loads(text)
        if "begin" in line:
            trackers.begin(line["begin"])
        elif "metrics" in line:
            trackers.log(line["metrics"])
        elif "end" in line:
            how = line["end"]
    trackers.end(how)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
