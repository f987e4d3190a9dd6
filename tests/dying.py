"""A worker that ends itself by SIGKILL in a chosen state of the loop; for the stories."""

from __future__ import annotations

import os
import signal

import living
from homeostat.foundation import house
from homeostat.lifecycle.loop import actions as loop
from homeostat.lifecycle.loop import carrying, stages

CORRECTING = "correcting"
"""Not of the machine: a corrector was fitted, and the plan is about to name it."""


def work(told, states, note):
    """Work as a worker does; die in the first transaction that begins in one of `states`."""
    with house.open_house(told) as opened:
        worker = living.Living(opened)
        worker.lease_s = 0  # what it holds is free at once, as after a minute otherwise
        correct = worker.handlers[carrying.CORRECTOR]

        def half(job):
            finish = correct(job)

            def end(tx):
                finish(tx)
                die(CORRECTING)

            return end

        def die(word):
            note.write_text(word)
            os.kill(os.getpid(), signal.SIGKILL)

        if CORRECTING in states:
            worker.handlers[carrying.CORRECTOR] = half
        write = opened.write

        def fatal(act_on, **how):
            def act(tx):
                known = loop.state(tx, living.NAME)
                before = {word for word in states if word in stages.of(known)}
                done = act_on(tx)
                if before and loop.state(tx, living.NAME) != known:
                    die(min(before, key=states.index))
                return done

            return write(act, **how)

        opened.write = fatal
        worker.work()
