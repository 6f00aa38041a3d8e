"""Every case of the corpus: accepted where its name begins with "good", refused where not."""

from pathlib import Path

import pytest

from tests.fuzz.published import CORPUS
from tests.fuzz.targets import TARGETS

CASES = sorted(path for path in CORPUS.glob("*/*"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.relative_to(CORPUS)))
def test_a_case_gets_the_right_answer_or_the_documented_error(case: Path) -> None:
    assert TARGETS[case.parent.name](case.read_bytes()) == case.name.startswith("good")


def test_every_target_has_cases_of_both_kinds() -> None:
    kinds = {(case.parent.name, case.name.startswith("good")) for case in CASES}
    assert kinds == {(name, good) for name in TARGETS for good in (True, False)}


def test_the_corpus_is_small() -> None:
    assert sum(case.stat().st_size for case in CASES) < 100_000
