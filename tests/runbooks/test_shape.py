"""Alerts and runbooks belong together, and every runbook has the same shape."""

import re
from typing import Any

import pytest
import yaml

from tests.runbooks.markdown import ROOT, SECTIONS, runbooks

ALERTS = {
    file.stem: [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    for file in (ROOT / "infra" / "alerts").glob("*.yml")
}


def test_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    """File name, alert name and title are one and the same."""
    assert ALERTS.keys() == runbooks().keys()
    assert {name: [rule["alert"] for rule in rules] for name, rules in ALERTS.items()} == {
        name: [name] for name in ALERTS
    }
    assert {runbook.title for runbook in runbooks().values()} == ALERTS.keys()


@pytest.mark.parametrize(
    "rule", [rule for rules in ALERTS.values() for rule in rules], ids=lambda r: r["alert"]
)
def test_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """It has a summary, a description and a runbook that is there, and who owns it as the runbook says."""
    annotations = rule["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook"}
    assert (ROOT / annotations["runbook"]).is_file()
    head = runbooks()[rule["alert"]].head
    assert (head["Owner"], head["Severity"]) == (rule["labels"]["owner"], rule["labels"]["severity"])


@pytest.mark.parametrize(
    "rule", [rule for rules in ALERTS.values() for rule in rules], ids=lambda r: r["alert"]
)
def test_alert_asks_for_a_metric_that_is_reported(rule: dict[str, Any]) -> None:
    """Its names are names our code reports under, in Prometheus's spelling with the unit."""
    code = "".join(file.read_text() for file in (ROOT / "workers").glob("*.py"))
    made = re.findall(r'create_(\w+)\(\s*"(walletworks\.[a-z.]+)"([^)]*)\)', code)
    reported = {_in_prometheus(name, kind=kind, options=options) for kind, name, options in made}
    asked = set(re.findall(r"walletworks_\w+", rule["expr"]))
    assert asked
    assert asked <= reported


def _in_prometheus(name: str, *, kind: str, options: str) -> str:
    spelt = name.replace(".", "_")
    if 'unit="s"' in options and not spelt.endswith("seconds"):
        spelt += "_seconds"
    return f"{spelt}_total" if kind == "counter" else spelt


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_runbook_has_the_shape(name: str) -> None:
    """Head lines and sections in order, numbered steps, and commands that can be pasted."""
    runbook = runbooks()[name]
    assert list(runbook.head) == ["Owner", "Severity", "Last drill"]
    assert tuple(runbook.sections) == SECTIONS
    for section in ("Diagnosis", "Mitigation", "Verify"):
        steps = [int(number) for number in re.findall(r"^(\d+)\. ", runbook.sections[section], re.MULTILINE)]
        assert steps == list(range(1, len(steps) + 1)), section
        assert runbook.blocks(section), section
        assert not [block for block in runbook.blocks(section) if re.search(r"<[a-z]+>|\.\.\.", block)]
    assert "- Do not " in runbook.sections["Do not"]


def test_index_lists_every_runbook() -> None:
    """The README of the runbooks links each."""
    index = (ROOT / "runbooks" / "README.md").read_text()
    assert set(re.findall(r"^\| \[(\w+)\]\(\1\.md\)", index, re.MULTILINE)) == runbooks().keys()
