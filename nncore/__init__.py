"""The network: nodes, graph, model, optimizers, data set and training step.

It also owns the model repository, the files at which the trainer and the service meet. It needs
numpy and the weight format, and imports nothing else of the project.
"""

from nncore.activations import ReLU, Softmax, softmax
from nncore.dataset import Dataset
from nncore.encoding import MAX_PIXEL, one_hot_encode, scale_pixels
from nncore.graph import Gradients, back_propagate, make_sequential
from nncore.linear import LinearLayer, kaiming_init
from nncore.losses import MSE, ClassificationLoss, Loss, NLLLoss, SoftmaxCrossEntropy
from nncore.manifest import Manifest
from nncore.model import FCModel
from nncore.node import Node
from nncore.optimizers import SGD, NesterovSGD, Optimizer
from nncore.repository import (
    DamagedVersionError,
    Fingerprint,
    ModelRepository,
    PublishedModel,
    RepositoryError,
    VersionNotFoundError,
    check_probes,
)
from nncore.training import (
    EpochResult,
    Evaluation,
    evaluate,
    get_accuracy,
    train_epoch,
    train_one_epoch,
    train_step,
)

__all__ = [
    "MAX_PIXEL",
    "MSE",
    "SGD",
    "ClassificationLoss",
    "DamagedVersionError",
    "Dataset",
    "EpochResult",
    "Evaluation",
    "FCModel",
    "Fingerprint",
    "Gradients",
    "LinearLayer",
    "Loss",
    "Manifest",
    "ModelRepository",
    "NLLLoss",
    "NesterovSGD",
    "Node",
    "Optimizer",
    "PublishedModel",
    "ReLU",
    "RepositoryError",
    "Softmax",
    "SoftmaxCrossEntropy",
    "VersionNotFoundError",
    "back_propagate",
    "check_probes",
    "evaluate",
    "get_accuracy",
    "kaiming_init",
    "make_sequential",
    "one_hot_encode",
    "scale_pixels",
    "softmax",
    "train_epoch",
    "train_one_epoch",
    "train_step",
]
