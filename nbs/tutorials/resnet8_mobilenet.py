"""Make the stored results of the page anew: run its cells with AGAIN = True, as far as they make any.

    TINYFORMER_DATA=FOLDER python nbs/tutorials/resnet8_mobilenet.py

FOLDER holds cifar10.npz. Trainings go on where they were stopped."""
import json, os
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main():
    os.chdir(HERE)
    cells = json.loads((HERE/'resnet8_mobilenet.ipynb').read_text(encoding='utf-8'))['cells']
    code = [''.join(c['source']) for c in cells if c['cell_type'] == 'code']
    last = max(i for i, text in enumerate(code) if text.startswith('if AGAIN'))
    names = {}
    for text in code[:last + 1]: exec(text.replace('AGAIN = False', 'AGAIN = True'), names)


if __name__ == '__main__': main()
