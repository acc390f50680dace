"""A budget of a training run: minutes of time, or images shown, in place of a number of epochs.

What follows a schedule (learning rate, pruning, the rest from strong distortions) then follows the share of the budget
that is spent, counted in ticks. A run without a budget counts its steps."""
import math, time
from dataclasses import dataclass

import torch
from tqdm import tqdm

from tinyformer import distributed
from tinyformer.errors import BadInput

LEAST = 10  # steps of a budget
JUDGED = 3  # step after which a pace is known: one that stood still among the first says nothing
TICKS = 10_000  # of a run with a budget
UNITS = dict(minutes=' s', images=' images', epochs=' steps')
LEFT = '{l_bar}{bar}| {elapsed}<{remaining}{postfix}'  # a bar of time: what has passed, what is left


@dataclass
class Meter:
    "How much of a run is spent: seconds, images, or steps where there is no budget."
    by: str  # one of UNITS
    limit: float  # all there is
    spent: float = 0  # so far
    last: float = 0  # by the step before
    pace: float = math.inf  # what the quickest step spent
    start: float = 0  # what the clock showed when nothing was spent

    @property
    def total(self) -> int:
        "Steps of the schedule."
        return self.limit if self.by == 'epochs' else TICKS

    @property
    def done(self) -> bool:
        "Whether nothing is left."
        return self.spent >= self.limit

    def at(
        self,
        step: int,  # of the run, from 0
    ) -> int:  # step of the schedule, 0 .. total-1
        "Where the schedule is in the middle of this step, if it costs as much as the mean one so far."
        if self.by == 'epochs': return step
        middle = self.spent * (1 + .5 / step) if step else 0
        return min(TICKS - 1, int(TICKS * middle / self.limit))

    def begin(
        self,
        spent: float,  # by a run that was stopped; 0 for a new one
    ):
        "Start the clock."
        self.spent, self.start = spent, time.perf_counter() - spent

    def count(
        self,
        images: int,  # of the step that just ended
        device: str = 'cpu',  # where processes that train together exchange numbers
    ):
        "Spend a step."
        before, now = self.spent, time.perf_counter() - self.start
        if self.by == 'minutes':
            now = torch.tensor(now, dtype=torch.float64, device=device)
            self.spent = distributed.total(now).item() / distributed.size()  # all stop together
        else: self.spent += images if self.by == 'images' else 1
        self.last = self.spent - before
        self.pace = min(self.pace, self.last)

    def check(
        self,
        step: int,  # that was just counted, from 0
    ):
        """Refuse a time in which fewer than `LEAST` steps fit. It is decided among the first steps, by the quickest of
        them: a machine that sleeps for a while must not end a run."""
        if self.by != 'minutes' or step > JUDGED or not (self.done or step == JUDGED): return
        if self.pace * (LEAST if step else 1) <= self.limit: return
        least = math.ceil(LEAST * self.pace / 6) / 10
        raise BadInput(f'TrainConfig.minutes is {self.limit / 60:.3g}, and a step takes '
                       f'{self.pace:.2g} s here: give {least} or more, or a smaller batch_size.')


def meter_of(
    cfg: object,  # a `TrainConfig`, with a budget or without
    steps: int,  # of all epochs
) -> Meter:  # with nothing spent
    "What a run may spend."
    limits = dict(minutes=60 * cfg.minutes, images=cfg.images, epochs=steps)
    return Meter(*next((by, limit) for by, limit in limits.items() if limit))


def progress_bar(
    meter: Meter,  # of a run, begun
    desc: str = '',  # label of the bar
    show: bool = True,  # it appears after a second
) -> tqdm:  # to be moved with `move`
    "A bar of what a run may spend, drawn once a second."
    return tqdm(total=meter.limit, initial=meter.spent, desc=desc, unit=UNITS[meter.by], delay=1, mininterval=1,
                bar_format=LEFT if meter.by == 'minutes' else None, disable=not show)


def move(
    bar: tqdm,  # of `progress_bar`
    meter: Meter,  # that just counted a step
):
    "Move a bar by a step. The last one may spend more than there was."
    bar.update(min(meter.last, meter.limit - bar.n))


def told(
    row: dict,  # loss, and val_accuracy or None
) -> dict:  # texts for a bar
    "What a bar says of an epoch; a validation that was not made is left out."
    val = row['val_accuracy']
    return dict(loss=f'{row["loss"]:.3f}') | ({} if val is None else dict(val=f'{val:.2%}'))
