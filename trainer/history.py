"""The history of a run: one record per epoch."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class EpochRecord:
    """The results of an epoch.

    Attributes:
        epoch: Its number, from 1.
        learning_rate: The learning rate at its end, for the loss summed over a batch.
        training_loss: The mean loss per image in nats, each before its batch's update.
        validation_loss: The mean loss per image in nats, at the end of the epoch.
        validation_accuracy: The share of correct validation images, 0 to 1.
        images_per_second: The training speed, without validation.
        seconds: The training time of the run up to the end of the epoch.
    """

    epoch: int
    learning_rate: float
    training_loss: float
    validation_loss: float
    validation_accuracy: float
    images_per_second: float
    seconds: float

    def to_json_line(self) -> str:
        """Return the record as a line of JSON.

        Raises:
            ValueError: A number is not finite, which JSON does not support.
        """
        return json.dumps(asdict(self), allow_nan=False) + "\n"
