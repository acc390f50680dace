"""The commands that made the stored results of the page vit_cifar10; the network is in vit_model.py.

    python vit_cifar10.py train FOLDER       # trains it and stores the weights; a run that was stopped goes on
    python vit_cifar10.py data FOLDER        # writes the images that tinyformer deploy reads
    python vit_cifar10.py results FOLDER     # measures every stage and stores what the page shows

Between the last two run the two commands of `tinyformer deploy` that the page names. CIFAR-10 is found as everywhere in
TinyFormer: cifar10.npz in the folder that TINYFORMER_DATA names, else torchvision's download."""
import argparse, json
from pathlib import Path

import numpy as np
import torch
from vit_model import RESULTS, Net, OneQuery, vit

EPOCHS, BATCH, RATE = 6, 128, 3e-3
COMMANDS = ['python vit_cifar10.py train FOLDER', 'python vit_cifar10.py data FOLDER',
            'tinyformer deploy vit_model.py:vit --data FOLDER/cifar10.npz --device-inputs 10 --out FOLDER/dense',
            'tinyformer deploy vit_model.py:vit --data FOLDER/cifar10.npz --device-inputs 10 --sparsity 0.8 '
            '--finetune 3 --lr 2e-3 --out FOLDER/sparse',
            'python vit_cifar10.py results FOLDER']


# ---- what rounding the probabilities costs ---------------------------------------------------------------------------

def attentions(qnet):
    "name -> layer, of every attention of a QuantNet."
    return {n.name: qnet.layer(n.name) for n in qnet.nodes if n.kind == 'attention'}


@torch.no_grad()
def rounding_noise(qnet, x):
    "Per attention: signal over noise, in dB, of its output where only its probabilities are rounded to 1/256."
    from tinyformer.quantization import watch
    found = {}
    def see(name, layer, args):
        exact = layer.forward(*args)
        layer.prob.watching = False
        noise = layer.forward(*args) - exact
        layer.prob.watching = True
        found.setdefault(name, []).append((float(exact.square().sum()), float(noise.square().sum())))
    hooks = [layer.register_forward_pre_hook(lambda layer, args, name=name: see(name, layer, args))
             for name, layer in attentions(qnet).items()]
    watch(qnet.eval())
    for part in x.split(64): qnet(part)
    watch(qnet, False)
    for hook in hooks: hook.remove()
    sums = {name: np.sum(pairs, 0) for name, pairs in found.items()}
    return {name: round(10 * float(np.log10(s / n)), 2) for name, (s, n) in sums.items()}


@torch.no_grad()
def accuracy(net, x, y):
    "Share of right answers."
    return float(np.mean(np.concatenate([net(part).argmax(1).numpy() for part in x.split(64)]) == y))


def accuracy_by_rounding(qnet, x, y):
    "Accuracy with nothing rounded, the probabilities alone, all but the probabilities, and all."
    from tinyformer.quantization import watch
    found = {}
    for what, rest, prob in (('nothing', True, True), ('probabilities', True, False),
                             ('all but probabilities', False, True), ('all', False, False)):
        watch(qnet.eval(), rest)
        for layer in attentions(qnet).values(): layer.prob.watching = prob
        found[what] = accuracy(qnet, x, y)
    watch(qnet, False)
    return found


# ---- the commands ----------------------------------------------------------------------------------------------------

def images():
    "CIFAR-10 with 1,000 training images held back."
    from tinyformer.data import load
    return load('cifar10', val_fraction=.02)


def train(folder, epochs):
    "Train on one core, by the shorter form of the same network, and store the weights in half precision."
    from tinyformer.training import Machine, TrainConfig, fit
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = Net()
    quick = OneQuery(net)
    how = TrainConfig(epochs=epochs, batch_size=BATCH, lr=RATE, weight_decay=.03, clip=1.)
    history = fit(net, images(), how, forward=lambda _, x, step: quick(x), checkpoint=folder/'vit.ckpt',
                  machine=Machine(channels_last=True))
    held = {k: v.numpy() for k, v in net.state_dict().items()}
    half = {k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in held.items()}
    np.savez_compressed(RESULTS/'vit_cifar10.npz', **half)
    (folder/'history.json').write_text(json.dumps(history))


def data(folder):
    "The first 15,000 training images and the first 2,000 test images as one file."
    from tinyformer.data import find_arrays
    held, many = find_arrays('cifar10'), dict(x_train=15_000, y_train=15_000, x_test=2000, y_test=2000)
    np.savez(folder/'cifar10.npz', **{k: held[k][:n] for k, n in many.items()})


def opened(folder):
    "A finished deployment: its record, and the network that it began with, ranges set."
    from tinyformer.deploy import Deployment, Settings
    held = json.loads((folder/'deploy.json').read_text())
    run = Deployment(folder, Settings(**{k: held[k] for k in Settings.__dataclass_fields__}), progress=False)
    return run, run.quantised()


def trained(run):
    "The network as `--finetune` left it, in float, from the checkpoint of that training."
    from tinyformer.finetune import fold, insert, refresh
    from tinyformer.quantization import read
    from tinyformer.training import read_checkpoint
    net = insert(read(run.opened.source, run.examples.x), run.examples.x)
    net.load_state_dict(read_checkpoint(run.path('train.ckpt'))['parts']['model'])
    return fold(refresh(net, run.examples.x, run.cfg.batch_size))


def card(graph, pictures, about, **accuracies):
    "What one model gets right and costs: the C on this machine sees all test images, the emulated core 50."
    from tinyformer import zoo
    known = dict(about=about, dataset='cifar10', copy='CIFAR-10, JPEG q75 copy', **accuracies)
    return zoo.report(graph, pictures, known, device_images=50, compare=2000, progress=False)


def kept(path, make):
    "What `make` gave the first time."
    from tinyformer.files import write_json
    if not path.exists(): write_json(path, make())
    return json.loads(path.read_text())


def of_dense(folder, test, x):
    "Accuracy in float, what rounding costs, and the card of the model with all its weights."
    from tinyformer.graph import load
    run, qnet = opened(folder/'dense')
    exact = accuracy(vit(), x, test.y_test)
    return dict(float=exact, rounding=accuracy_by_rounding(qnet, x, test.y_test), noise=rounding_noise(qnet, x[:512]),
                card=card(load(run.path('model.tfm')), (test.x_test, test.y_test), 'int8, all weights',
                          accuracy_float=exact))


def of_sparse(folder, test, x, exact):
    "Accuracy of the pruned network in float, and the card of its int8 model, which is stored."
    from tinyformer.graph import load, save
    run, _ = opened(folder/'sparse')
    graph = load(run.path('model.tfm'))
    save(graph, RESULTS/'vit_cifar10_sparse.tfm')
    pruned = accuracy(trained(run), x, test.y_test)
    return dict(card=card(graph, (test.x_test, test.y_test), 'int8, 80 % of the weights are zero',
                          accuracy_float=exact, accuracy_pruned=pruned))


def results(folder):
    "Measure the two deployments FOLDER/dense and FOLDER/sparse on all test images."
    from tinyformer.data import to_float
    from tinyformer.files import write_json
    from tinyformer.provenance import commit, machine, versions
    torch.set_num_threads(1)
    test = images()
    x = to_float(test.x_test)
    dense = kept(folder/'of_dense.json', lambda: of_dense(folder, test, x))
    sparse = kept(folder/'of_sparse.json', lambda: of_sparse(folder, test, x, dense['float']))
    pruning = json.loads((folder/'sparse'/'prune.json').read_text())
    history = dict(dense=json.loads((folder/'history.json').read_text()), sparse=pruning['history'])
    minutes = {k: round(sum(e['seconds'] for e in h) / 60, 1) for k, h in history.items()}
    meta = dict(commands=COMMANDS, data='CIFAR-10, JPEG q75 copy', seeds=[0], minutes=minutes, commit=commit(),
                machine=machine(), versions=versions())
    write_json(RESULTS/'vit_cifar10.json', dict(
        meta=meta, history=history, rounding=dense['rounding'], noise=dense['noise'], plan=pruning['plan'],
        cards=dict(dense=dense['card'], sparse=sparse['card'])))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=['train', 'data', 'results'])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--epochs', type=int, default=EPOCHS)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.what == 'train': train(given.folder, given.epochs)
    elif given.what == 'data': data(given.folder)
    else: results(given.folder)


if __name__ == '__main__': main()
