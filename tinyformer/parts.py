"""Work on many images in parts that run at the same time, on the cores that this process may use.

Plumbing of `evaluation`."""
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np


def threads() -> int: # 1 to 4
    "Cores that this process may use, four at most."
    n = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return max(1, min(4, n))


def spread(
    pool:ThreadPoolExecutor, # runs the parts
    f:object, # function of some images and the index of the first
    x:np.ndarray, # all images
    step:int, # images in a part
    tick:object, # called with the number of images done
    serial:bool=False, # one part after the other
)->list: # futures of lists of results, in order
    "Start `f` on every part of `x`."
    def part(at):
        y = f(x[at:at + step], at)
        tick(len(x[at:at + step]))
        return y
    starts = range(0, len(x), step)
    if serial: return [pool.submit(lambda: [part(at) for at in starts])]
    return [pool.submit(lambda at=at: [part(at)]) for at in starts]


def results(
    futures:list # of `spread`
)->list: # in order
    "What all parts gave; the error of the first part that failed."
    return [part for f in futures for part in f.result()]
