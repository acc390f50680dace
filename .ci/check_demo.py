"""What the demo's report must say, and the demo's image on a second emulator. Run by `.ci/run` after `make demo`."""
import json, math, subprocess, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT/'runs'/'demo'
KEYS = '''target flash_limit_bytes sram_limit_bytes
supernets_sampled acceptance_probability acceptance_interval trials trials_feasible
accuracy_float accuracy_pruned accuracy_int8 accuracy_device weight_sparsity
flash_bytes weights_bytes weights_bytes_dense arena_bytes arena_lower_bound_bytes stack_bytes sram_bytes
instructions_per_inference bytes_compared bytes_different device_images compiler seconds versions'''.split()


@pytest.fixture(scope='module')
def report(): return json.loads((RUN/'report.json').read_text(encoding='utf-8'))


def test_keys(report):
    assert not set(KEYS) - set(report), f'missing: {sorted(set(KEYS) - set(report))}'
    def walk(o):
        if isinstance(o, dict): o = list(o.values())
        return [v for part in o for v in walk(part)] if isinstance(o, list) else [o]
    assert all(math.isfinite(o) for o in walk(report) if isinstance(o, float))


def test_goals(report):
    "Accurate, sparse, the same bytes everywhere, within both limits."
    assert report['accuracy_device'] >= 0.97 and report['weight_sparsity'] >= 0.70
    assert report['bytes_different'] == 0 and report['device_images'] == 360
    assert report['bytes_compared'] == 360*10
    assert 0 < report['flash_bytes'] <= report['flash_limit_bytes']
    assert 0 < report['sram_bytes'] <= report['sram_limit_bytes']
    assert report['accuracy_device'] == report['accuracy_int8']


def test_the_figures_agree(report):
    lo, hi = report['acceptance_interval']
    assert lo <= report['acceptance_probability'] <= hi and report['acceptance_probability'] > 0.9
    assert report['supernets_sampled'] >= 3 and report['trials'] >= 30
    assert 0 < report['trials_feasible'] <= report['trials']
    assert report['arena_lower_bound_bytes'] <= report['arena_bytes'] < report['sram_bytes']
    assert report['weights_bytes'] < report['weights_bytes_dense'] and report['weights_bytes'] < report['flash_bytes']
    assert report['stack_bytes'] > 0 and report['instructions_per_inference'] > 0


def test_the_run_folder_is_whole():
    names = {o.name for o in RUN.iterdir()}
    assert {'report.json', 'report.md'} <= names
    text = (RUN/'report.md').read_text(encoding='utf-8')
    pictures = [o.split(')')[0] for o in text.split('](')[1:] if o.split(')')[0].endswith(('.png', '.svg'))]
    assert len(pictures) >= 4 and all((RUN/o).is_file() for o in pictures), pictures
    assert list(RUN.rglob('*.tfm')) and list(RUN.rglob('*.db')) and list(RUN.rglob('model.c'))
    assert not list(RUN.rglob('*.part'))


def test_qemu_agrees():
    "The generated image under qemu-system-arm: same output bytes, same count of instructions."
    cmd = [Path(sys.executable).parent/'tinyformer', 'simulate', str(RUN), '--qemu']
    p = subprocess.run(cmd, cwd=ROOT, capture_output=True, text=True)
    print(p.stdout)
    assert p.returncode == 0, p.stdout + p.stderr
