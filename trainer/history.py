"""What a run tells of each epoch: the entries of its history."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class EpochRecord:
    """How an epoch went.

    Attributes:
        epoch: Its number, from 1 on.
        learning_rate: What it came to by the end, for the loss summed over a batch.
        training_loss: The mean loss an image, nats, each from before the step it led to.
        validation_loss: The mean loss an image at the end of the epoch, nats.
        validation_accuracy: The share of validation images read right then, 0 to 1.
        images_per_second: How fast it trained, validation left out.
        seconds: How long the run had trained by the end of the epoch.
    """

    epoch: int
    learning_rate: float
    training_loss: float
    validation_loss: float
    validation_accuracy: float
    images_per_second: float
    seconds: float

    def to_json_line(self) -> str:
        """Write it as a line of JSON, ended.

        Raises:
            ValueError: A number is not finite, which JSON cannot express.
        """
        return json.dumps(asdict(self), allow_nan=False) + "\n"
