"""schemathesis against the service over a socket, with all checks on; it finds nothing.

`python -m benchmarks.conformance` is its long form.
"""

import re

from benchmarks.conformance import run_schemathesis

# On top of what follows from the document alone.
EXAMPLES = 10
LEAST_CASES = 3000


def test_schemathesis_finds_nothing() -> None:
    run = run_schemathesis(EXAMPLES, seed=1, capture=True)
    assert run.returncode == 0, run.stdout + run.stderr
    cases = re.search(r"(\d+) generated, (\d+) passed", run.stdout)
    assert cases
    assert int(cases[1]) > LEAST_CASES
