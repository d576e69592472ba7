"""The table: what counts as worse, what an update keeps. `python3 -m unittest discover -s tests/clients`."""

import tempfile
import unittest
from pathlib import Path

from harness.results import FAIL, NONE, PASS, SKIP, Result, Table, lines

PAGE = """# Title

Prose.

## one

| test | tailwater | kafka | reason |
|---|---|---|---|
| `a` | PASS | PASS | |
| `b` | FAIL | PASS | by hand |
| `c` | SKIP | – | why |
"""


class TheTable(unittest.TestCase):
    def setUp(self):
        self.path = Path(tempfile.mkstemp()[1])
        self.addCleanup(self.path.unlink)
        self.path.write_text(PAGE)
        self.table = Table(self.path)

    def worse(self, *results, whole=False):
        return [line.split(":")[0] for line in self.table.worse("one", results, "tailwater", whole)]

    def test_a_pass_may_not_become_anything_else(self):
        self.assertEqual(self.worse(Result("a", PASS), Result("b", FAIL), Result("c", SKIP)), [])
        self.assertEqual(self.worse(Result("a", FAIL)), ["one a"])
        self.assertEqual(self.worse(Result("a", SKIP)), ["one a"])
        self.assertEqual(self.worse(Result("c", FAIL)), ["one c"])

    def test_a_pass_may_not_go_missing_from_a_whole_run(self):
        self.assertEqual(self.worse(Result("b", PASS)), [])
        self.assertEqual(self.worse(Result("b", PASS), whole=True), ["one a"])

    def test_a_new_test_may_not_fail(self):
        self.assertEqual(self.worse(Result("new", FAIL)), ["one new"])
        self.assertEqual(self.worse(Result("new", PASS), Result("newer", SKIP)), [])

    def test_what_is_better_is_told(self):
        results = [Result("a", PASS), Result("b", PASS), Result("new", PASS)]
        self.assertEqual(self.table.better("one", results, "tailwater"), ["one b: was FAIL"])

    def test_an_update_keeps_the_other_column_and_the_reasons(self):
        results = [Result("a", FAIL, "broken"), Result("b", FAIL, "said by the machine"), Result("d", PASS)]
        self.table.update("one", results, "tailwater", whole=True)
        self.table.write()
        rows = Table(self.path).suites["one"]
        self.assertEqual(rows["a"].outcomes, {"tailwater": FAIL, "kafka": PASS})
        self.assertEqual([rows["a"].reason, rows["b"].reason], ["broken", "by hand"])
        self.assertEqual(rows["d"].outcomes, {"tailwater": PASS, "kafka": NONE})
        self.assertNotIn("c", rows)
        self.assertTrue(self.path.read_text().startswith("# Title\n\nProse.\n\n## one\n"))

    def test_a_reason_is_one_line_and_names_no_machine(self):
        said = Result("a", FAIL, "\x1b[31mno such\n  file\x1b[0m: '/some/where/on/disk/x.py' | y")
        self.assertEqual(said.reason, "no such file: '…/x.py' / y")

    def test_lines_of_scripts(self):
        found = lines("PASS a\nnoise\nFAIL b: c: d\nSKIP e\nPASS\n")
        self.assertEqual(found, [Result("a", PASS), Result("b", FAIL, "c: d"), Result("e", SKIP)])


if __name__ == "__main__":
    unittest.main()
