#!/usr/bin/python3
"""Runs the cases of one area through the probe and judges its answers.

conformance.py PROBE FOLDER AREA: exit status 0 when every case is answered as it must be, 77
(skipped) when FOLDER has no such cases, else 1 with a line for each case that went wrong.
"""
import json
import pathlib
import subprocess
import sys


def judge_address(case, result):
    """The category of is_email decides; what it calls deprecated or RFC 5322 only is free."""
    category = case["category"].removeprefix("ISEMAIL_")
    if category == "ERR":
        return result.get("accept") is False
    if category in ("VALID_CATEGORY", "DNSWARN", "RFC5321"):
        return result.get("accept") is True
    return "accept" in result


def judge_arc(case, result):
    return result.get("cv") == (case["cv"] or "none")


def judge_canon(case, result):
    return all(result.get(form) == case[form] for form in ("simple_hex", "relaxed_hex"))


def judge_dkim(case, result):
    """What counts is the expectation under RFC 8301. nopass is anything but pass; fail and permerror are both what
    RFC 6376 calls PERMFAIL, and which of them it is depends on what is looked at first."""
    classes = {"nopass": {"fail", "permerror", "temperror"}, "fail": {"fail", "permerror"}, "permerror": {"fail", "permerror"}}
    expected = case["expect_rfc8301"]
    return result.get("verdict") in classes.get(expected, {expected})


def judge_command(case, result):
    """null: a verb or a parameter that is not offered here."""
    return "ok" in result and result["ok"] in (None, case["ok"])


def judge_expect(case, result):
    """Only what `expect` names is compared."""
    return all(key in result and result[key] == value for key, value in case["expect"].items())


def judge_dmarc_record(case, result):
    return result.get("valid") is case["valid"]


def judge_psl(case, result):
    return "domain" in result and result["domain"] == case["domain"]


def judge_proxy(case, result):
    """Where the case does not say, a header is a string of hex; a list of parts is a piece of one."""
    return "ok" in result and ("ok" not in case or result["ok"] is case["ok"])


def judge_rfc2047(case, result):
    return result.get("decoded") == case["decoded"]


def judge_spf(case, result):
    """An explanation is compared where the case has one; only a sender that fails gets any."""
    if result.get("result") not in case["accept"] or result.get("questions") is None:
        return False
    if result["result"] != "fail":
        return result.get("explanation") is None
    return case.get("explanation") in (None, result.get("explanation"))


def read_psl(text):
    """A name and its registrable domain, or null, a line."""
    cases = []
    for number, line in enumerate(text.split("\n"), 1):
        if line and not line.startswith("//"):
            domain = line.split()[1]
            cases.append({"id": number, "line": line, "domain": None if domain == "null" else domain})
    return cases


# area: (file below the folder, judge)
AREAS = {
    "arc-validate": ("arc/validate.jsonl", judge_arc),
    "dkim-canon": ("dkim/canon.jsonl", judge_canon),
    "dkim-verify": ("dkim/verify.jsonl", judge_dkim),
    "dmarc": ("dmarc/evaluate.jsonl", judge_expect),
    "dmarc-record": ("dmarc/record.jsonl", judge_dmarc_record),
    "proxy": ("smtp/proxy.jsonl", judge_proxy),
    "psl": ("dmarc/psl/tests.txt", judge_psl),
    "rfc2047": ("mime/rfc2047.jsonl", judge_rfc2047),
    "smtp-address": ("smtp/address.jsonl", judge_address),
    "smtp-command": ("smtp/command.jsonl", judge_command),
    "spf": ("spf/rfc7208.jsonl", judge_spf),
}


def main():
    probe, folder, area = sys.argv[1:]
    file_name, judge = AREAS[area]
    path = pathlib.Path(folder) / file_name
    if not path.exists():
        print(f"skipped: {area}: there is no {path}")
        return 77
    text = path.read_text(encoding="utf-8")
    cases = read_psl(text) if area == "psl" else [json.loads(line) for line in text.split("\n") if line]
    command = [probe, area, "--root", str(path.parent)]
    suffixes = pathlib.Path(folder) / "dmarc" / "psl" / "public_suffix_list.dat"
    if suffixes.exists():
        command += ["--psl", str(suffixes)]
    with path.open("rb") as stream:
        run = subprocess.run(command, stdin=stream, stdout=subprocess.PIPE, check=True)
    results = [json.loads(line) for line in run.stdout.decode().split("\n") if line]
    if [case.get("id", number) for number, case in enumerate(cases, 1)] != [result["id"] for result in results]:
        print(f"{area}: the answers are not those of the cases, in their order")
        return 1
    wrong = [(case, result) for case, result in zip(cases, results) if not judge(case, result)]
    for case, result in wrong:
        print("wrong:", json.dumps(case), "answered", json.dumps(result))
    print(f"{area}: {len(cases) - len(wrong)} of {len(cases)}")
    return 1 if wrong or not cases else 0


sys.exit(main())
