import json

import numpy as np

from service.encoding import class_labels, encode_predictions


def test_every_number_is_the_same_float32_again(rng: np.random.Generator) -> None:
    probabilities = rng.dirichlet(np.ones(10), 50).astype(np.float32)
    answer = json.loads(encode_predictions("mnist", 1, list(range(10)), probabilities))
    predictions = answer["predictions"]
    np.testing.assert_array_equal(
        np.array([p["probabilities"] for p in predictions], np.float32), probabilities
    )
    np.testing.assert_array_equal(
        np.array([p["confidence"] for p in predictions], np.float32), probabilities.max(axis=1)
    )
    assert [p["label"] for p in predictions] == probabilities.argmax(axis=1).tolist()


def test_a_number_is_as_short_as_float32_allows() -> None:
    answer = encode_predictions("mnist", 1, ["a", "b"], np.array([[0.1, 0.9]], np.float32))
    assert answer == (
        b'{"model":"mnist","version":1,"predictions":'
        b'[{"label":"b","confidence":0.9,"probabilities":[0.1,0.9]}]}'
    )


def test_probabilities_may_lie_in_memory_as_the_network_leaves_them() -> None:
    columns = np.array([[0.25, 1], [0.75, 0]], np.float32)
    rows = encode_predictions("mnist", 1, [0, 1], np.ascontiguousarray(columns.T))
    assert encode_predictions("mnist", 1, [0, 1], columns.T) == rows


def test_labels_that_are_the_classes_numbers_are_numbers() -> None:
    assert class_labels(["0", "1", "2"]) == [0, 1, 2]
    assert class_labels(["1", "2", "3"]) == ["1", "2", "3"]
    assert class_labels(["shirt", "shoe"]) == ["shirt", "shoe"]
