#!/usr/bin/env python3
"""Runs that copy their checkpoints to a store of objects: objects.py OPD FOLDER PORT, which scripts/stores/objects.sh
starts.

A small model is pre-trained. Its run is stopped half-way, its folder is lost, and it goes on from the copies: the
weights must be those of a run that nothing befell. With an object that was damaged, with a run that is killed, with a
store that goes away and comes back, and with keys and buckets that are wrong.
"""

import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
import time
import urllib.request

import boto3

import runs
from runs import expect, weights

opd, folder, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
BUCKET = "copies"
os.environ["NO_PROXY"] = "127.0.0.1"
RIGHTS = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'


class Forwarder:
    """Passes connections on to the store, and can be shut: then nobody answers at its port."""

    def __init__(self):
        self.sockets = []
        self.port = 0
        self.open()

    def open(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=[self.listener], daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                near = listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", port))
            except OSError:
                return
            self.sockets += [near, far]
            for source, target in [(near, far), (far, near)]:
                threading.Thread(target=self.carry, args=[source, target], daemon=True).start()

    @staticmethod
    def carry(source, target):
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def shut(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.sockets = []


def client(service, **keys):
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", **keys)


def environment(**changes):
    """Variables with the store's keys; what is None is left out. No file of the user's is read."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    variables |= {
        "NO_PROXY": "127.0.0.1",
        "HOME": f"{folder}/home",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        **KEYS,
        **changes,
    }
    return {name: value for name, value in variables.items() if value is not None}


def run(where, *arguments, status=0, **changes):
    said = runs.run(opd, where, *arguments, environment=environment(**changes), status=status)
    expect(KEYS["AWS_SECRET_ACCESS_KEY"] not in said, "no secret is printed")
    return said


def objects(prefix):
    return [each["Key"] for each in store.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def copies(prefix):
    """Steps with a whole copy."""
    return sorted(int(key.split("step-")[1][:6]) for key in objects(prefix) if key.endswith("/complete"))


def to(name):
    return ["--set", f"checkpoint.copy_to=s3://{BUCKET}/{name}"]


# A user whose signature is checked.
anybody = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
iam = client("iam", **anybody)
iam.create_user(UserName="runs")
iam.put_user_policy(UserName="runs", PolicyName="all", PolicyDocument=RIGHTS)
made = iam.create_access_key(UserName="runs")["AccessKey"]
KEYS = {"AWS_ACCESS_KEY_ID": made["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"]}
store = client("s3", aws_access_key_id=made["AccessKeyId"], aws_secret_access_key=made["SecretAccessKey"])
store.create_bucket(Bucket=BUCKET)
reset = f"http://127.0.0.1:{port}/moto-api/reset-auth"
urllib.request.urlopen(urllib.request.Request(reset, b"0", {"Content-Type": "text/plain"})).read()

run(f"{folder}/reference")
reference = weights(f"{folder}/reference")

# A run whose machine is lost half-way. In two parts, each of which waits for its last copy.
where = f"{folder}/moved"
run(where, *to("moved"), "--set", "training.steps=15")
run(where, *to("moved"), "--set", "training.steps=20", "--resume")
expect(copies("moved/") == [15, 20], f"two copies are kept: {objects('moved/')}")
shutil.rmtree(where)
said = run(where, *to("moved"), status=2)
expect("has the copies of another run" in said, said)
(model,) = [key for key in objects("moved/step-000020/") if key.endswith("/model/model.safetensors")]
data = bytearray(store.get_object(Bucket=BUCKET, Key=model)["Body"].read())
data[20_000] ^= 1
store.put_object(Bucket=BUCKET, Key=model, Body=bytes(data))
said = run(where, *to("moved"), "--resume-from", f"s3://{BUCKET}/moved")
expect("step-000020 is damaged and is not used" in said, said)
expect("fetched the checkpoint of step 15" in said, said)
expect(weights(where) == reference, "the weights are those of a run that was never moved")
kept = copies("moved/")
expect(len(kept) == 2 and kept[-1] == 40, f"old copies go: {kept}")
expect(objects("moved/step-000020/") == [], "of what is removed nothing stays")
with open(f"{where}/runs/tiny/config.yaml") as file:
    expect(KEYS["AWS_SECRET_ACCESS_KEY"] not in file.read(), "no secret is in the configuration")
run(f"{folder}/fork", "--from", f"s3://{BUCKET}/moved", "--set", "training.steps=41")
print("went on from the copies with equal weights")

# One that is killed with all its processes as soon as a copy is there, then loses its folder.
where = f"{folder}/killed"
process = runs.begin(opd, where, *to("killed"), environment=environment())
while not copies("killed/"):
    expect(process.poll() is None, "it runs until a copy is there")
    time.sleep(0.05)
os.killpg(process.pid, signal.SIGKILL)
process.communicate()
shutil.rmtree(where)
run(where, *to("killed"), "--resume-from", f"s3://{BUCKET}/killed")
expect(weights(where) == reference, "the weights are those of a run that was never killed")
print("a run that was killed went on from its copy with equal weights")

# What is wrong is told of before the run begins.
for words, status, place, changes in [
    ("s3:// needs credentials, and there are none", 2, BUCKET, {"AWS_ACCESS_KEY_ID": None}),
    ("the credentials are refused (SignatureDoesNotMatch)", 1, BUCKET, {"AWS_SECRET_ACCESS_KEY": "wrong"}),
    ("the credentials are refused (InvalidAccessKeyId)", 1, BUCKET, {"AWS_ACCESS_KEY_ID": "WRONG"}),
    ("there is no bucket 'nobodys'", 1, "nobodys", {}),
    ("Failed to connect to 127.0.0.1 port 1 ", 1, BUCKET, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}),
]:
    option = f"checkpoint.copy_to=s3://{place}/wrong"
    said = runs.run(opd, f"{folder}/wrong", "--set", option, environment=environment(**changes), status=status)
    expect(words in said, f"{words}: {said}")

# A profile is as good as variables.
os.makedirs(f"{folder}/home/.aws")
with open(f"{folder}/home/.aws/credentials", "w") as file:
    file.write(f"[lab]\naws_access_key_id = {made['AccessKeyId']}\naws_secret_access_key = {made['SecretAccessKey']}\n")
with open(f"{folder}/home/.aws/config", "w") as file:
    file.write(f"[profile lab]\nendpoint_url = http://127.0.0.1:{port}\n")
variables = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_ENDPOINT_URL": None, "AWS_PROFILE": "lab"}
run(f"{folder}/profile", *to("profile"), "--set", "training.steps=5", **variables)
expect(copies("profile/") == [5], "a profile reaches the store")

# Files above 64 MiB go in parts.
where = f"{folder}/large"
large = [
    *(word for key in ["shape.hidden=768", "shape.intermediate=4096", "training.steps=2"] for word in ["--set", key]),
    *to("large"),
]
run(where, *large)
whole = weights(where, "step-000002")
shutil.rmtree(where)
run(where, *large, "--resume-from", f"s3://{BUCKET}/large")
expect(weights(where, "step-000002") == whole, "a file that went in parts is whole")
(model,) = [key for key in objects("large/step-000002/") if key.endswith("/model/model.safetensors")]
size = store.head_object(Bucket=BUCKET, Key=model)["ContentLength"]
expect(size > 64 << 20, f"it is large enough: {size}")
print(f"a model of {size >> 20} MiB went in parts")

# A store that goes away in the middle of a run, and comes back: the run goes on, and its last copy is waited for.
way = Forwarder()
where = f"{folder}/away"
process = runs.begin(
    opd,
    where,
    *to("away"),
    "--set",
    "training.steps=40",
    environment=environment(AWS_ENDPOINT_URL=f"http://127.0.0.1:{way.port}"),
)
said = ""
while not copies("away/"):
    expect(process.poll() is None, "it runs until a copy is there")
    time.sleep(0.01)
way.shut()
while "was not copied" not in said:
    line = process.stderr.readline()
    expect(line, f"it says that it fails: {said}")
    said += line
way.open()
said += process.communicate()[1]
expect(process.returncode == 0 and "is there, after" in said, said)
expect(copies("away/")[-1] == 40, "the last copy is there")
expect(weights(where) == reference, "a store that went away changes no weights")
print("a store that went away and came back has the last copy")
