"""Renders the chart with Helm's own engine, all cases in one process, and validates what comes out.

Standard input: {"chart": folder, "kubernetes": [versions], "cases": [{"name", "values": [files], "set": {}, "release",
"namespace"}]}. Standard output: for each case, by its name, {"objects", "notes", "invalid", "refused"}: the manifests as
JSON, what Kubernetes' schemas have against them, and the message if there are none.
"""

import json
import sys

import helm_python
import kubernetes_validate
import yaml

# What Kubernetes' schemas do not know; the tests in Rust look at these themselves.
CUSTOM = {"monitoring.coreos.com/v1"}


def merged(base, over):
    """As Helm merges values files: maps member by member, everything else as a whole."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}
    return over


def values_of(case):
    values = {}
    for path in case.get("values", []):
        with open(path, encoding="utf-8") as file:
            values = merged(values, yaml.safe_load(file) or {})
    return merged(values, case.get("set", {}))


def objects_of(rendered):
    for path, text in sorted(rendered.items()):
        if path.endswith(".txt"):
            continue
        for document in yaml.safe_load_all(text):
            if document is not None:
                yield path.split("/templates/", 1)[1], document


def complaints(document, versions):
    if document["apiVersion"] in CUSTOM:
        return
    for version in versions:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except Exception as error:  # of many kinds, and every one is a finding
            message = getattr(error, "message", error)
            yield f"{document['kind']} {document['metadata']['name']} on {version}: {message}"


def render(chart, case, versions):
    try:
        rendered = chart.render(
            values_of(case), name=case.get("release", "prod"), namespace=case.get("namespace", "callback")
        )
    except helm_python.HelmError as error:
        return {"objects": [], "notes": "", "invalid": [], "refused": str(error)}
    found = list(objects_of(rendered))
    notes = next((text for path, text in rendered.items() if path.endswith("NOTES.txt")), "")
    return {
        "objects": [{"template": path, "object": document} for path, document in found],
        "notes": notes,
        "invalid": [text for _, document in found for text in complaints(document, versions)],
        "refused": None,
    }


def main():
    wanted = json.load(sys.stdin)
    lint = helm_python.lint(wanted["chart"], {}, strict=True)
    with helm_python.Chart.load(wanted["chart"]) as chart:
        answer = {case["name"]: render(chart, case, wanted["kubernetes"]) for case in wanted["cases"]}
        metadata = chart.metadata
    json.dump({"cases": answer, "lint": lint, "metadata": metadata}, sys.stdout)


main()
