"""How one of a worker's many tasks waits for the others."""

import time

_A_MOMENT = 1e-6


def let_others_go_first() -> None:
    """Go on once all that is ready has had its turn, what has only just arrived included.

    Unlike 0, any time at all makes gevent's loop look what has arrived.
    """
    time.sleep(_A_MOMENT)
