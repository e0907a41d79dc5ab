"""One program that sees the whole batch: there is nothing to exchange.

JAX compiles one program for all devices, in which XLA divides the work.
"""

import contextlib

# Whether a step is given the share of its replica, rather than the whole batch.
RECEIVES_SHARES = True


def replicas_of(model):
    """The number of replicas that train a model."""
    del model
    return 1


def num_available_devices():
    """The devices that there are."""
    return 1


def num_replicas():
    """The number of replicas of the step that is running."""
    return 1


def replica_index():
    """The index of this replica."""
    return 0


def all_mean(x):
    """The mean of a tensor over the replicas."""
    return x


def all_gather(x, axis):
    """The tensors of all replicas, one after another."""
    del axis
    return x


def share(x, axis):
    """The part of this replica of a tensor that all replicas hold."""
    del axis
    return x


def check_shares(size):
    """Refuses shares of different sizes."""
    del size


def share_of_loss(loss):
    """What the loss of a replica adds to that of the batch."""
    return loss


@contextlib.contextmanager
def averaged_gradients(optimizer):
    """While it is open, the optimizer averages gradients over the replicas."""
    del optimizer
    yield


def join_processes(timeout, end_together=False):
    """Joins the processes of a run."""
    del timeout, end_together


def wait_for_all():
    """Waits until every process of a run has called it: there is one."""


def equalize(model):
    """Gives all replicas the variables of the first one."""
    del model


def of_all_processes(number):
    """Lists a number of each process: of one."""
    return [number]


def check_placement(model):
    """Refuses variables made before the devices were chosen."""
    del model
