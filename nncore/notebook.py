"""What only the notebook's cells need: softmax's gradient in two forms, an epoch that prints."""

from collections.abc import Mapping

import numpy as np

from nncore import activations
from nncore.dataset import Dataset
from nncore.model import FCModel
from nncore.optimizers import Optimizer
from nncore.training import Evaluation, evaluate, train_epoch
from nncore.types import Array


class Softmax(activations.Softmax):
    """Softmax with the notebook's two forms of the gradient."""

    def backwards1(self, g: Array) -> None:
        """Set `input_grad` from `g` of shape `(classes, batch)`, sample by sample.

        For one column of probabilities p the Jacobian is diag(p) - p p^T, which is symmetric.
        """
        columns = []
        for p, upstream in zip(self.ans.T, g.T, strict=True):
            jacobian = np.diag(p) - np.outer(p, p)
            columns.append(jacobian @ upstream)
        self.input_grad = np.stack(columns, axis=1)

    def backwards2(self, g: Array) -> None:
        """Set `input_grad` from `g` of shape `(classes, batch)`, for all samples at once."""
        self.backwards(g)


def train_one_epoch(
    model: FCModel,
    train: Dataset,
    valid: Dataset,
    optimizer: Optimizer,
    args: Mapping[str, int],
    label: str = "",
) -> tuple[float, Evaluation]:
    """Train for an epoch, evaluate on `valid`, print and return the training loss and the result.

    Args:
        model: Changed in place.
        train: The training data.
        valid: The validation data.
        optimizer: Updates the parameters.
        args: `{"batch_size": n}`.
        label: The prefix of the printed lines.
    """
    print(f"[{label}]Training")
    training_loss = train_epoch(model, train, optimizer, args["batch_size"])
    print(f"[{label}]Evaluating")
    validation = evaluate(model, valid)
    print(
        f"Training loss {training_loss:.4f}, valid loss {validation.loss:.4f}, "
        f"valid acc {validation.accuracy:.2%}"
    )
    return training_loss, validation
