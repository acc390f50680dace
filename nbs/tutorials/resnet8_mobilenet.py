"""Make the stored results of the page anew: run its cells with AGAIN = True, as far as they make any.

    TINYFORMER_DATA=FOLDER python nbs/tutorials/resnet8_mobilenet.py [--stored-weights]

FOLDER holds cifar10.npz. Trainings go on where they were stopped. With --stored-weights the float networks stay as they
are stored, and only what comes after their training is made anew."""
import argparse, json, os
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--stored-weights', action='store_true', help='do not train the float networks')
    given = parser.parse_args()
    os.chdir(HERE)
    cells = json.loads((HERE/'resnet8_mobilenet.ipynb').read_text(encoding='utf-8'))['cells']
    code = [''.join(c['source']) for c in cells if c['cell_type'] == 'code']
    last = max(i for i, text in enumerate(code) if text.startswith('if AGAIN'))
    names = {}
    for text in code[:last + 1]:
        if given.stored_weights: text = text.replace('    for name in NETWORKS: train_float(name)', '    pass')
        exec(text.replace('AGAIN = False', 'AGAIN = True'), names)


if __name__ == '__main__': main()
