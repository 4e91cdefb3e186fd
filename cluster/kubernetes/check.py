#!/usr/bin/env python3
"""Checks the manifests of this folder, offline.

Base and every overlay are put together as kustomize does it, as far as they use it. Every object is validated strictly
against Kubernetes's schemas, and what one object calls by name or by labels must be there in another.

usage: check.py             needs PyYAML and kubernetes-validate, as scripts/lint-tools.sh installs them
"""

import copy
import glob
import os
import sys

import kubernetes_validate
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
# The oldest version that is meant to work, and the newest of which the schemas are there.
VERSIONS = ("1.27", kubernetes_validate.latest_version())
# What a kustomization here may have: what else there is would be left out without a word.
KNOWN = {"apiVersion", "kind", "namespace", "resources", "configMapGenerator", "patches", "images"}
# Made by hand, from the files of 'opd keygen'.
SECRETS = {"opd-learner", "opd-rollout", "opd-scorer"}
CLAIM = ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName")


def documents(path):
    with open(path) as file:
        return [document for document in yaml.safe_load_all(file) if document]


def name(item):
    return item["kind"], item["metadata"]["name"]


def merge(old, new):
    """A strategic merge: maps by key, lists of named things by name, everything else replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {key: merge(old.get(key), new[key]) if key in new else old[key] for key in [*old, *(new.keys() - old)]}
    if isinstance(old, list) and isinstance(new, list) and all(isinstance(x, dict) and "name" in x for x in old + new):
        found = {x["name"]: x for x in old}
        for x in new:
            found[x["name"]] = merge(found.get(x["name"]), x)
        return list(found.values())
    return new


def specifications(item):
    """Specifications of the pods that an object makes."""
    spec = item.get("spec", {}).get("template", {}).get("spec")
    return [spec] if spec else []


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def build(folder, problems):
    """The objects of a kustomization."""
    path = os.path.join(folder, "kustomization.yaml")
    (kustomization,) = documents(path)
    problems += [f"{path}: this check does not know '{key}'" for key in kustomization.keys() - KNOWN]
    items, files = [], {"kustomization.yaml"}
    for resource in kustomization.get("resources", []):
        at = os.path.join(folder, resource)
        if os.path.isdir(at):
            items += build(at, problems)
        else:
            files.add(resource)
            items += documents(at)
    for generator in kustomization.get("configMapGenerator", []):
        files.update(generator["files"])
        data = {}
        for file in generator["files"]:
            with open(os.path.join(folder, file)) as text:
                data[file] = text.read()
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data}
        there = [item for item in items if name(item) == name(made)]
        if bool(there) != (generator.get("behavior") == "replace"):
            problems.append(f"{path}: {generator['name']} is there already, or is not there to be replaced")
        items = [item for item in items if item not in there] + [made]
    for patch in kustomization.get("patches", []):
        files.add(patch["path"])
        for change in documents(os.path.join(folder, patch["path"])):
            found = [index for index, item in enumerate(items) if name(item) == name(change)]
            if len(found) != 1:
                problems.append(f"{patch['path']}: {' '.join(name(change))} is not there to be patched")
            for index in found:
                items[index] = merge(items[index], change)
    for item in items:
        item["metadata"]["namespace"] = kustomization["namespace"]
        for container in [c for spec in specifications(item) for c in containers(spec)]:
            for image in kustomization.get("images", []):
                if container["image"].split(":")[0] == image["name"]:
                    container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"
    problems += [f"{folder}/{file} is in no kustomization" for file in sorted(set(os.listdir(folder)) - files)]
    return items


def matches(selector, labels):
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(labels.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", []))


def pods(items):
    """The templates of pods, each with the title of the object that it is in."""
    return [(" ".join(name(item)), item["spec"]["template"]) for item in items if specifications(item)]


def lacks_of_pods(items):
    """What pods need that is not there, and rights that they should not have."""
    there = {name(item) for item in items}
    own_claims = {v["metadata"]["name"] for i in items for v in i.get("spec", {}).get("volumeClaimTemplates", [])}
    for owner, template in pods(items):
        spec = template["spec"]
        for volume in spec["volumes"]:
            for kind, source, key in (("ConfigMap", "configMap", "name"), CLAIM):
                if source in volume and (kind, volume[source][key]) not in there:
                    yield f"{owner}: there is no {kind} {volume[source][key]}"
            if "secret" in volume and volume["secret"]["secretName"] not in SECRETS:
                yield f"{owner}: nobody makes the secret {volume['secret']['secretName']}"
        volumes = {volume["name"] for volume in spec["volumes"]} | own_claims
        for container in containers(spec):
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    yield f"{owner}: {container['name']} mounts {mount['name']}, which is no volume"
            if not (container["securityContext"]["readOnlyRootFilesystem"] and spec["securityContext"]["runAsNonRoot"]):
                yield f"{owner}: {container['name']} may write to its image, or be root"


def lacks_of_metrics(items):
    """Where a run serves its numbers, where Prometheus is told to look for them, and which port may be reached."""
    configurations = [yaml.safe_load(i["data"]["run.yaml"]) for i in items if name(i) == ("ConfigMap", "opd-run")]
    served = {configuration["telemetry"]["prometheus_port"] for configuration in configurations}
    for owner, template in pods(items):
        ports = {p["name"]: p["containerPort"] for c in template["spec"]["containers"] for p in c.get("ports", [])}
        told = int(template["metadata"]["annotations"]["prometheus.io/port"])
        if {told, ports.get("metrics")} != served:
            yield f"{owner}: numbers are at {served}, the port is {ports.get('metrics')}, and Prometheus asks {told}"


def selectors(item):
    """The selectors by which an object means pods of this run."""
    spec = item.get("spec", {})
    if item["kind"] == "Service":
        yield {"matchLabels": spec["selector"]}
    elif item["kind"] in ("PodDisruptionBudget", "Deployment", "StatefulSet"):
        yield spec["selector"]
    elif item["kind"] == "NetworkPolicy":
        yield spec["podSelector"]
        for rule in spec.get("ingress", []) + spec.get("egress", []):
            # With a selector of namespaces it is about others' pods.
            others = rule.get("from", []) + rule.get("to", [])
            yield from (other["podSelector"] for other in others if "namespaceSelector" not in other)


def lacks_of_objects(items):
    """What objects call by name or by labels that is not there."""
    there = {name(item) for item in items}
    templates = [template for _, template in pods(items)]
    ports = {port["name"] for t in templates for c in t["spec"]["containers"] for port in c.get("ports", [])}
    for item in items:
        title, spec = " ".join(name(item)), item.get("spec", {})
        for selector in selectors(item):
            if not any(matches(selector, template["metadata"]["labels"]) for template in templates):
                yield f"{title}: {selector} selects no pod"
        target = spec.get("scaleTargetRef")
        if target and (target["kind"], target["name"]) not in there:
            yield f"{title}: there is no {target['kind']} {target['name']}"
        if item["kind"] == "StatefulSet" and ("Service", spec["serviceName"]) not in there:
            yield f"{title}: there is no Service {spec['serviceName']}"
        if item["kind"] == "Service":
            yield from (
                f"{title}: no container has a port {port['targetPort']}"
                for port in spec["ports"]
                if port["targetPort"] not in ports
            )


def main():
    problems, count = [], 0
    for folder in [f"{HERE}/base", *sorted(glob.glob(f"{HERE}/overlays/*"))]:
        try:
            items = build(folder, problems)
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            problems.append(f"{folder}: {type(error).__name__}: {error}")
            continue
        lacks = [*lacks_of_pods(items), *lacks_of_objects(items), *lacks_of_metrics(items)]
        problems += [f"{folder}: {lack}" for lack in lacks]
        names = [name(item) for item in items]
        problems += [f"{folder}: {' '.join(one)} is there twice" for one in {n for n in names if names.count(n) > 1}]
        for item in items:
            for version in VERSIONS:
                try:
                    kubernetes_validate.validate(copy.deepcopy(item), version, strict=True)
                except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                    where = ".".join(str(part) for part in getattr(error, "path", []))
                    text = getattr(error, "message", error)
                    problems.append(f"{folder}: {' '.join(name(item))} ({version}): {where}: {text}")
        count += len(items)
    for problem in problems:
        print(f"error: {os.path.relpath(problem) if problem.startswith('/') else problem}", file=sys.stderr)
    if not problems:
        print(f"{count} objects of Kubernetes are valid and fit together")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
