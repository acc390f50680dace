"""A judge that trains: a candidate of the search gets a short training, and goes on to a longer one if it is among the
best so far.

`one_shot.judge` asks the supernet's weights as they are. This judge trains them first, by a budget of images. The first
rung is `images` long, each further one makes it `ETA` times as much in all. Whoever is not among the best of a rung
stops there (successive halving, by Optuna's pruner). Each rung is a training of its own, with its own schedule: it ends
pruned as far as the path says and at a learning rate near zero, so the accuracies of a rung compare."""
import json, zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import optuna
from optuna.trial import TrialState

from tinyformer.arch import Arch
from tinyformer.blocks import build
from tinyformer.errors import BadInput
from tinyformer.files import claim, remove_folder
from tinyformer.quantization import quantize
from tinyformer.run_config import RunConfig, Stage, stages
from tinyformer.run_steps import machine_of, train_stage
from tinyformer.training import LEAST, TrainConfig, evaluate
from tinyformer.trials import fingerprint, open_study, quiet_optuna, run_file

ETA = 3    # a rung trains so many times as long as the one before, and so many candidates share a place in it


@dataclass(frozen=True)
class Short:
    "How long candidates are trained."
    images: int          # of the first rung
    cfg: TrainConfig     # everything else of a training; its length is not used
    rungs: int = RunConfig.judge_rungs
    calibration: int = 512  # training images for the quantiser's ranges

    def __post_init__(self):
        least = LEAST * self.cfg.batch_size
        if not self.images >= least:
            raise BadInput(f'images is {self.images}: give {least} or more, {LEAST} steps for the first rung.')
        if not self.rungs >= 1: raise BadInput(f'rungs is {self.rungs}: give 1 or more.')

    def spent(
        self,
        rung: int,  # from 0; -1 is before the first
    ) -> int:  # images
        "What a candidate has been shown when it leaves a rung."
        return self.images * ETA**rung if rung >= 0 else 0

    def stage(
        self,
        rung: int,  # from 0
    ) -> Stage:
        "The training of a rung: the first prunes step by step, the others start from what is pruned."
        cfg = replace(self.cfg, images=self.spent(rung) - self.spent(rung - 1), minutes=0.)
        return Stage(cfg, rise=(0., 0.) if rung else (.1, .6))

    def about(self) -> dict:  # only numbers and strings
        "What decides an accuracy, to notice when a search goes on with another judge."
        return json.loads(json.dumps(asdict(self)))


class ShortJudge:
    "f(arch) -> validation accuracy of the integers after as many rungs as the candidate reaches."
    def __init__(
        self,
        net: object,  # trained `SuperNet`: training starts from its slices
        data: object,  # a `Dataset`; the test split is never read
        short: Short,  # how long
        run: Path,  # run folder: checkpoints of the candidate that is in work
        storage: object = None,  # Optuna storage or its URL; default: SQLite in the run folder
        study: str = None,  # name of the search; default: the space's
        machine: str = 'plain',  # that trains: of `run_config.MACHINES`
    ):
        self.net, self.data, self.short, self.folder, self.machine = net, data, short, Path(run)/'short', machine
        name = f'{study or net.space.name}, rungs'
        self.about = dict(judge=short.about())
        about = self.about | dict(supernet=fingerprint(net))
        with quiet_optuna():
            self.study = open_study(storage or run_file(run), name, about, ['maximize'])
        self.study.pruner = optuna.pruners.SuccessiveHalvingPruner(short.images, ETA, 0)

    def __call__(
        self,
        arch: Arch,  # a path of the supernet
    ) -> float:  # 0 to 1
        "Train and ask, rung by rung; a candidate whose judge was killed goes on from its checkpoint."
        with quiet_optuna():
            trial, known = self._trial(arch)
            if trial is None: return known
            work = self.folder/f'{zlib.crc32(json.dumps(arch.to_json()).encode()):08x}'
            model = self.net.extract(arch)
            for rung in range(self.short.rungs):
                accuracy = self._climb(model, arch, rung, work)
                if self.short.spent(rung) not in known: trial.report(accuracy, self.short.spent(rung))
                if stopped := rung < self.short.rungs - 1 and trial.should_prune(): break
            state = dict(state=TrialState.PRUNED) if stopped else dict(values=accuracy)
            self.study.tell(trial, **state, skip_if_finished=True)
            remove_folder(work)
            return accuracy

    def _climb(self, model, arch, rung, work):
        "Train the model through a rung; its accuracy as integers."
        file, stage = f'rung{rung}.ckpt', self.short.stage(rung)
        claim(work, file)
        train_stage(model, self.data, stage, work/file, arch, validate=lambda m: None, progress=False,
                    machine=self._here())
        int8 = quantize(model.cpu().eval(), self.data.x_train[:self.short.calibration])
        return evaluate(int8, self.data.x_val, self.data.y_val)

    def _here(self):
        "The machine for all candidates: the fastest for the largest of them."
        file, largest = self.folder.parent/'short.machine.json', build(self.net.space.largest())
        return replace(machine_of(self.machine, largest, self.data, self.short.cfg, file), compile=False)

    def _trial(self, arch):
        "(the record of this candidate, what it has reported); (None, accuracy) when it was judged before."
        key = arch.to_json()
        for t in self.study.get_trials(deepcopy=False):
            if t.user_attrs.get('arch') != key: continue
            if t.state.is_finished(): return None, t.values[0]
            return optuna.trial.Trial(self.study, t._trial_id), t.intermediate_values
        trial = self.study.ask()
        trial.set_user_attr('arch', key)
        return trial, {}

    def rungs(self) -> dict:  # images shown -> candidates that were trained so long
        "How many candidates reached each rung."
        seen = [t.intermediate_values for t in self.study.get_trials(deepcopy=False)]
        steps = [self.short.spent(rung) for rung in range(self.short.rungs)]
        return {step: sum(step in values for values in seen) for step in steps}


def judging(
    cfg: object,  # `RunConfig`
    net: object,  # trained `SuperNet`
    data: object,  # a `Dataset`
    run: Path,  # run folder
    storage: object = None,  # as for `search`
    study: str = None,  # as for `search`
) -> dict:  # for `search`: nothing where the supernet is asked as it is
    "The judge that a run's settings ask for."
    if cfg.judge == 'one-shot': return {}
    short = Short(cfg.judge_images, stages(cfg)['prune'].cfg, cfg.judge_rungs)
    return dict(accuracy_of=ShortJudge(net, data, short, run, storage, study, cfg.machine))
