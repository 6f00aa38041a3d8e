from pathlib import Path

import pytest

from tests.fuzz.targets import CORPUS, TARGETS

CASES = sorted(CORPUS.glob("*/*"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.relative_to(CORPUS)))
def test_a_case_is_accepted_where_its_name_begins_with_good_and_else_rejected(case: Path) -> None:
    assert TARGETS[case.parent.name](case.read_bytes()) == case.name.startswith("good")
