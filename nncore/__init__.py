"""The network: nodes, graph, model, optimizers, data set and training step.

It depends on numpy only. The model repository, `nncore.repository`, is a subpackage that nothing
here imports, since it needs a POSIX system.
"""

from nncore.activations import Activation, ReLU, softmax
from nncore.dataset import Dataset
from nncore.encoding import MAX_PIXEL, one_hot_encode, scale_pixels
from nncore.graph import Gradients, back_propagate, make_sequential
from nncore.linear import LinearLayer, kaiming_init
from nncore.losses import MSE, DistillationLoss, Loss, NLLLoss, SoftmaxCrossEntropy
from nncore.model import FCModel
from nncore.node import Node
from nncore.notebook import Softmax, train_one_epoch
from nncore.optimizers import SGD, NesterovSGD, Optimizer
from nncore.predictor import Predictor
from nncore.training import Evaluation, evaluate, get_accuracy, train_epoch, train_step

__all__ = [
    "MAX_PIXEL",
    "MSE",
    "SGD",
    "Activation",
    "Dataset",
    "DistillationLoss",
    "Evaluation",
    "FCModel",
    "Gradients",
    "LinearLayer",
    "Loss",
    "NLLLoss",
    "NesterovSGD",
    "Node",
    "Optimizer",
    "Predictor",
    "ReLU",
    "Softmax",
    "SoftmaxCrossEntropy",
    "back_propagate",
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
