"""What a test said, and the checked-in table of what each is known to say.

The table is a page of Markdown: a heading for each suite, a row for each test with its outcome against `tw start`,
against Apache Kafka, and the reason for what is no pass. It is written by `--update` and read by every other run.
"""

import re
from dataclasses import dataclass
from pathlib import Path

PASS, FAIL, SKIP, NONE = "PASS", "FAIL", "SKIP", "–"
COLUMNS = ("tailwater", "kafka")


@dataclass
class Result:
    test: str
    outcome: str
    reason: str = ""

    def __post_init__(self):
        """The reason becomes one line that says nothing of this machine."""
        plain = re.sub(r"\x1b\[[0-9;]*m", "", self.reason).replace("|", "/")
        self.reason = re.sub(r"\s+", " ", re.sub(r"/(?:[\w.+-]+/){2,}", "…/", plain)).strip()[:160].strip()


@dataclass
class Row:
    outcomes: dict
    reason: str = ""


def lines(text):
    """Results in the form that the suites' own scripts print: `PASS name`, `FAIL name: reason`, `SKIP name: reason`."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"(PASS|FAIL|SKIP) ([\w .+-]+?)(?:: (.*))?", line.strip())
        if match:
            found.append(Result(match[2], match[1], match[3] or ""))
    return found


class Table:
    """`suites[suite][test]` is a row. What stands before the first suite is prose and stays."""

    def __init__(self, path: Path):
        self.path, self.prose, self.suites = path, "", {}
        suite = None
        for line in path.read_text().splitlines() if path.exists() else []:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if line.startswith("## "):
                suite = self.suites.setdefault(line[3:].strip(), {})
            elif suite is None:
                self.prose += line + "\n"
            elif line.startswith("|") and len(cells) == 4 and cells[1] in (PASS, FAIL, SKIP, NONE):
                suite[cells[0].strip("`")] = Row(dict(zip(COLUMNS, cells[1:3])), cells[3])

    def worse(self, suite, results, column, whole):
        """What was better before, as lines to print. `whole`: a test that is not among `results` has gone missing."""
        rows, problems = self.suites.get(suite, {}), []
        for result in results:
            known = rows[result.test].outcomes[column] if result.test in rows else NONE
            if result.outcome == FAIL and known != FAIL or result.outcome == SKIP and known == PASS:
                problems.append(f"{suite} {result.test}: was {known}, is {result.outcome}: {result.reason}")
        ran = {result.test for result in results}
        for test, row in rows.items():
            if whole and test not in ran and row.outcomes[column] == PASS:
                problems.append(f"{suite} {test}: was {PASS}, did not run")
        return problems

    def better(self, suite, results, column):
        rows = self.suites.get(suite, {})
        known = {result.test: rows[result.test].outcomes[column] for result in results if result.test in rows}
        passed = [result.test for result in results if result.outcome == PASS]
        return [f"{suite} {test}: was {known[test]}" for test in passed if known.get(test, PASS) != PASS]

    def update(self, suite, results, column, whole):
        """Takes the outcomes over. A reason that was written by hand stays while the outcome is the same."""
        rows = self.suites.setdefault(suite, {})
        if whole:
            for test in set(rows) - {result.test for result in results}:
                rows[test].outcomes[column] = NONE
        for result in results:
            row = rows.setdefault(result.test, Row({name: NONE for name in COLUMNS}))
            changed = row.outcomes[column] != result.outcome
            row.outcomes[column] = result.outcome
            if all(outcome in (PASS, NONE) for outcome in row.outcomes.values()):
                row.reason = ""
            elif (changed or not row.reason) and result.reason:
                row.reason = result.reason
        for test in [test for test, row in rows.items() if all(o == NONE for o in row.outcomes.values())]:
            del rows[test]

    def write(self):
        out = [self.prose.rstrip("\n"), ""]
        for suite, rows in self.suites.items():
            out += [f"## {suite}", "", "| test | tailwater | kafka | reason |", "|---|---|---|---|"]
            for test, row in sorted(rows.items()):
                out.append(f"| `{test}` | {' | '.join(row.outcomes[c] for c in COLUMNS)} | {row.reason} |".rstrip())
            out.append("")
        self.path.write_text("\n".join(out).rstrip("\n") + "\n")


def tally(results):
    count = lambda outcome: sum(result.outcome == outcome for result in results)
    return f"{count(PASS)} passed, {count(FAIL)} failed, {count(SKIP)} skipped"
