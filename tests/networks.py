"""Small networks of torchvision and timm through the whole road: import, int8, C, this machine, the emulated core.

    .venv/bin/python tests/networks.py --out nbs/experiments/results/networks.json   # all of them (about an hour)
    .venv/bin/python tests/networks.py --train --out THE_SAME                        # some, with trained weights
    .venv/bin/python tests/networks.py -k mobilenet                                  # those of this name

Weights are random: batch norms follow structured pictures, and no branch is switched off (see `settle`). With
`--train` those that `TRAINED` names are trained on scikit-learn's digits, enlarged, for a minute or a few each. A
network that is refused is a row as well, with the layers named. With `--out` every finished row is kept there, and a
run that was stopped goes on with the next one; rows that match `-k` are made again only with `--again`."""
import argparse, json, re, sys, tempfile, time, warnings
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np, torch, torch.nn as nn, torch.nn.functional as F

from tinyformer.bench import made_by
from tinyformer.codegen import generate, run_host
from tinyformer.data import import_torchvision, to_int8
from tinyformer.deploy import real, score
from tinyformer.errors import DoesNotFit, TinyFormerError, UnsupportedOp
from tinyformer.files import write_json
from tinyformer.graph import run
from tinyformer.hardware import MB, target
from tinyformer.importer import import_model
from tinyformer.lowering import lower
from tinyformer.provenance import commit
from tinyformer.quantization import quantize, watch
from tinyformer.simulator import build, simulate

CLASSES, CALIBRATION, JUDGED = 10, 64, 8              # outputs; images that set ranges, images that are compared
ON_HOST, ON_CORE = 4, 2                                # images whose bytes are compared
JUDGED_TRAINED = 100                                   # digits that no training saw
BOARDS = [target('stm32f746'), target('stm32h743'), replace(target('stm32f746'), flash_bytes=64*MB, sram_bytes=16*MB)]
ROOMY = 'an emulated Cortex-M7 with 64 MB of flash and 16 MB of SRAM'
INSTALL = '.venv/bin/pip install timm'
TRAINED = dict(shufflenet_v2_x0_5=400, mobilenet_v3_small=100, lcnet_050=400, mnasnet0_5=100) # steps of 32 digits
# library: module with the factory; factory: its name; size: pixels; options: of the factory
Network = namedtuple('Network', 'library factory size why options', defaults=({},))


def tv(factory, size, why, **options): return Network('torchvision', factory, size, why, options)


def timm(factory, size, why, **options): return Network('timm', factory, size, why, options)


NETWORKS = [
    tv('mobilenet_v2', 96, 'inverted residuals, ReLU6', width_mult=.35),
    tv('mobilenet_v3_small', 64, 'squeeze and excitation, hard swish'),
    tv('shufflenet_v2_x0_5', 64, 'channels split, joined and shuffled'),
    tv('squeezenet1_1', 64, 'no batch norm, joined branches, a convolution as the last layer'),
    tv('mnasnet0_5', 64, 'inverted residuals with 5x5 windows'),
    tv('lraspp_mobilenet_v3_large', 64, 'a map as output, bilinear upsampling', weights_backbone=None),
    timm('mobilenetv1_100', 64, 'depthwise and pointwise, nothing else'),
    timm('mobilenetv4_conv_small_035', 64, 'two depthwise layers in a block'),
    timm('lcnet_050', 64, 'hard swish, squeeze and excitation at the end'),
    timm('tinynet_e', 64, 'EfficientNet made small on all axes'),
    timm('semnasnet_075', 64, 'MNASNet with squeeze and excitation'),
    timm('mixnet_s', 64, 'windows of 3 to 11 side by side'),
    timm('fbnetc_100', 64, 'found by search for phones'),
    timm('efficientnet_lite0', 64, 'EfficientNet without squeeze and excitation, ReLU6'),
    timm('ghostnet_050', 64, 'half of the channels made from the other half'),
    timm('repghostnet_050', 64, 'the same by sums'),
    timm('regnetx_002', 64, 'the smallest RegNet'),
    timm('resnet10t', 64, 'a stem of three, shortcuts through average pools'),
    timm('dla46_c', 64, 'trees of layers'),
    timm('rexnet_100', 64, 'sums over a part of the channels'),
    timm('ese_vovnet19b_slim', 64, 'five maps joined, squeeze and excitation of one layer'),
    timm('hgnetv2_b0', 64, 'a stem with uneven padding'),
    timm('cs3darknet_s', 64, 'half of the channels go around a stage'),
    timm('starnet_s050', 64, 'products of two branches'),
    timm('fasternet_t0', 64, 'convolutions of a quarter of the channels'),
    timm('convnext_atto', 64, 'LayerNorm over channels, 7x7 depthwise, GELU'),
    timm('convnextv2_atto', 64, 'a norm over the map inside'),
    timm('edgenext_xx_small', 64, 'attention between channels'),
    timm('mobilevit_xxs', 64, 'attention over tokens of several patches'),
    timm('mobilevitv2_050', 64, 'attention with one query'),
    timm('efficientvit_b0', 64, 'attention without softmax'),
    timm('efficientvit_m0', 64, 'attention head by head, one after another', img_size=64),
    timm('efficientformerv2_s0', 64, 'attention with learned biases', img_size=64),
    timm('vit_tiny_patch16_224', 64, 'the transformer', img_size=64),
    timm('xcit_nano_12_p16_224', 64, 'attention between channels, over maps', img_size=64),
]


def name_of(net): return f'{net.library} {net.factory}'


def libraries():
    "The modules with the factories, those that are installed."
    found = dict(torchvision=import_torchvision().models)
    try: import timm
    except ImportError: return found
    return found | dict(timm=timm)


def pictures(
    n, # how many
    size, # pixels on a side
    seed,
): # float32 [n, 3, size, size], multiples of 1/255
    "Smooth coloured shapes and finer detail, as photographs have: energy falls with frequency."
    gen, x = torch.Generator().manual_seed(seed), torch.zeros(n, 3, size, size)
    for cells in (2, 4, 8, 16):
        grid = torch.randn(n, 3, cells, cells, generator=gen) + torch.randn(n, 1, cells, cells, generator=gen)
        x += F.interpolate(grid, size=(size, size), mode='bilinear', align_corners=False) * (2 / cells)
    return (torch.sigmoid(x) * 255).round() / 255


@torch.no_grad()
def settle(
    net, # as its library makes it
    x, # pictures
): # the network, in evaluation mode
    "Gains, biases and statistics as a training leaves them: none is zero, norms follow the pictures."
    norms = [m for m in net.eval().modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for m in norms:
        if m.affine: nn.init.uniform_(m.weight, .5, 1.5); nn.init.uniform_(m.bias, -.3, .3)
        m.momentum = None
        m.train()
    for name, p in net.named_parameters(): # scales and positions that start at 0 or near it would do nothing
        if p.numel() > 1 and p.abs().max() < 1e-2 and bool((p == p.flatten()[0]).all()):
            if p.any(): p.fill_(.3)
            elif p.ndim > 1 or name.endswith('weight'): p.normal_(0, .3)
    for part in x.chunk(2): net(part)
    return net.eval()


def digits(size):
    "(images float32 [n, 3, size, size], labels) of scikit-learn, enlarged; in an order drawn once."
    from sklearn.datasets import load_digits
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(4))
    x = F.interpolate(torch.from_numpy(data.images[:, None]).float() / 16, size=(size, size), mode='bilinear')
    return ((x.clamp(0, 1) * 255).round() / 255).expand(-1, 3, -1, -1)[order], torch.from_numpy(data.target)[order]


def train(model, x, y, steps):
    "A short training: Adam, a rate that falls as a cosine."
    for m in model.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm): m.momentum = .1
    adam = torch.optim.AdamW(model.train().parameters(), 1e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, 2e-3, total_steps=steps)
    gen = torch.Generator().manual_seed(5)
    for _ in range(steps):
        i = torch.randint(len(x), (32,), generator=gen)
        loss = F.cross_entropy(model(x[i]), y[i], label_smoothing=.1)
        adam.zero_grad()
        loss.backward()
        adam.step()
        rate.step()
    return model.eval()


def make(net, found):
    "A network with seeded weights that fit its pictures."
    torch.manual_seed(0)
    source = found[net.library]
    if net.library == 'timm': model = source.create_model(net.factory, num_classes=CLASSES, **net.options)
    else: model = getattr(source.segmentation if net.factory.startswith('lraspp') else source, net.factory)(
        num_classes=CLASSES, **net.options)
    return settle(model, pictures(CALIBRATION, net.size, 1))


@torch.no_grad()
def answers(model, x):
    "[n, values] of the network."
    y = model(x)
    if isinstance(y, dict): y = next(iter(y.values()))
    return y.permute(0, 2, 3, 1).flatten(1).numpy() if y.ndim == 4 else y.flatten(1).numpy()


def rounded_once_more(x):
    "Pictures with noise as large as that of 8 bits."
    return x + (torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) - .5) / 255


def noise_of_input(model, x, want):
    "dB of pictures with the noise of 8 bits, and of the float network's answers about them."
    y = rounded_once_more(x)
    return dict(rounding_db=score(y.flatten(1).numpy(), x.flatten(1).numpy(), None)['snr'],
                input_db=score(answers(model, y), want, None)['snr'])


@torch.no_grad()
def noise_of_steps(qnet, x):
    "dB of each rounding step alone, its inputs exact: the median, the lowest, and the step that has it."
    x, found = qnet.eval().source.inward(x), []
    exact, quant = {'input': x}, {'input': qnet.image}
    for node in qnet.nodes:
        layer, coded = qnet.layer(node.name), {'input': x} | {i: exact[i] for i in node.inputs}
        watch(layer)
        qnet.step(node, exact, quant)
        watch(layer, False)
        qnet.step(node, coded, quant)
        db = score(coded[node.name].flatten(1).numpy(), exact[node.name].flatten(1).numpy(), None)['snr']
        if db is not None: found.append((db, node.name))
    return dict(steps=len(found), step_db=float(np.median([db for db, _ in found])), lowest=min(found))


def placed(graph, folder):
    "(firmware, image, name of the board): the smallest board that holds it."
    for i, board in enumerate(BOARDS):
        try:
            fw = generate(graph, board, folder/str(i))
            return fw, build(fw), ROOMY if i == 2 else board.name
        except DoesNotFit:
            if i == len(BOARDS) - 1: raise


def refusals(text):
    "What an error says of the layers that are refused, each once."
    return list(dict.fromkeys(re.findall(r"\((.*?)\) has no integer form", str(text)))) or [str(text)[:160]]


def compared(net, model, qnet, x):
    "Integers against float: on the reference, on this machine and on the emulated core, on these images."
    integers, want = lower(qnet, net.factory), answers(model, x)
    codes = to_int8((x.permute(0, 2, 3, 1)*255).round().numpy().astype(np.uint8))
    with tempfile.TemporaryDirectory() as tmp:
        fw, image, board = placed(integers, Path(tmp))
        host, core = run_host(fw, codes), simulate(image, fw, codes[:ON_CORE], 0, progress=False)
        exact = run(integers, codes[:ON_HOST])
        row = dict(board=board, flash=image.flash_bytes, arena=fw.arena_bytes, stack=core.stack_bytes,
                   bytes_compared=int(exact.size + core.outputs.size),
                   host_different=int((host[:ON_HOST] != exact).sum()),
                   core_different=int((core.outputs != exact[:ON_CORE]).sum()))
    got = real(integers, host)
    row |= dict(operators=len(integers.ops), macs=integers.macs(), snr=score(got, want, None)['snr'])
    return row | noise_of_input(model, x, want) | noise_of_steps(qnet, x[:JUDGED]), want, got


def trained(net, model):
    "What came of the road after a short training: accuracies too."
    x, y = digits(net.size)
    steps, rest = TRAINED[net.factory], len(x) - JUDGED_TRAINED
    train(model, x[:rest], y[:rest], steps)
    qnet = quantize(import_model(model, x[:CALIBRATION]), x[:CALIBRATION])
    row, want, got = compared(net, model, qnet, x[rest:])
    right = {k: float((v.argmax(1) == y[rest:].numpy()).mean()) for k, v in dict(accuracy=want, int8=got).items()}
    return row | dict(trained=steps, images=JUDGED_TRAINED) | right


def through(net, model):
    "What came of the whole road with random weights."
    calib, x = pictures(CALIBRATION, net.size, 1), pictures(JUDGED, net.size, 3)
    row, want, got = compared(net, model, quantize(import_model(model, calib), calib), x)
    same = float((got.argmax(1) == want.argmax(1)).mean()) if got.shape[1] == CLASSES else None
    return row | dict(same_class=same)


def attempt(net, found, road):
    "A row, whatever happens: result is 'ok', 'wrong' (bytes differ), 'refused' or 'error'."
    row = dict(size=net.size, why=net.why, options=net.options, commit=commit())
    try:
        model = make(net, found)
        row['parameters'] = sum(p.numel() for p in model.parameters())
        row |= road(net, model)
        return row | dict(result='wrong' if row['host_different'] + row['core_different'] else 'ok')
    except UnsupportedOp as e: return row | dict(result='refused', refused=refusals(e), error=str(e)[:2000])
    except (TinyFormerError, RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError) as e:
        return row | dict(result='error', error=f'{type(e).__name__}: {e}'[:2000])


def told(name, row):
    "One line for a row."
    head = f'{name:<46}{row["result"]:<9}'
    if row['result'] not in ('ok', 'wrong'): return head + (row.get('refused') or [row['error']])[0][:120]
    alone = f"input alone {row['input_db']:.1f}, each of {row['steps']} steps {row['step_db']:.1f}"
    said = f"{row['snr']:5.1f} dB ({alone}), "
    if 'trained' in row: return head + said + f"{row['accuracy']:.1%} right, int8 {row['int8']:.1%}"
    return head + said + f"{row['flash']:,} B flash, {row['arena']:,} B arena, {row['board']}"


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('-k', default='', help='only networks whose name holds this text')
    p.add_argument('--out', type=Path, help='JSON file of finished rows, to go on with after a stop')
    p.add_argument('--train', action='store_true', help='those of TRAINED, after a short training')
    p.add_argument('--again', action='store_true', help='make rows again that the file holds')
    a = p.parse_args(argv)
    warnings.filterwarnings('ignore')
    torch.set_num_threads(1)
    found, began, road = libraries(), time.time(), trained if a.train else through
    chosen = [n for n in NETWORKS if a.k in name_of(n) and (n.factory in TRAINED or not a.train)]
    if not chosen: sys.exit(f'no network is named like {a.k!r}: that is a failure')
    missing = [name_of(n) for n in chosen if n.library not in found]
    if missing: print(f'{len(missing)} networks need timm: {INSTALL}')
    all_rows = dict(meta={}, rows={}, trained={})
    if a.out and a.out.exists(): all_rows = json.loads(a.out.read_text(encoding='utf-8'))
    rows, spent = all_rows['trained' if a.train else 'rows'], all_rows['meta'].get('seconds', 0)
    for net in chosen:
        name = name_of(net)
        if name in missing or name in rows and not a.again: continue
        rows[name] = attempt(net, found, road)
        print(told(name, rows[name]), flush=True)
        all_rows['meta'] = made_by(spent + time.time() - began, 'tests/networks.py --out FILE, then with --train')
        if a.out: write_json(a.out, all_rows)
    done = [rows[name_of(n)] for n in chosen if name_of(n) in rows]
    count = {r: sum(d['result'] == r for d in done) for r in ('ok', 'refused', 'wrong', 'error')}
    print(f"{count['ok']} of {len(chosen)} networks run with their bytes right, {count['refused']} refused, "
          f"{count['wrong']} wrong, {count['error']} errors, {len(missing)} not tried")
    return bool(count['wrong'] + count['error'] + len(missing))


if __name__ == '__main__': sys.exit(main())
