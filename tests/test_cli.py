"""The command line: help, the tools, and one clear line for every mistake."""
import io, json, os, subprocess, sys, zipfile
from pathlib import Path

import numpy as np
import pytest

from tinyformer import cli
from tinyformer.errors import UnknownDataset
from tinyformer.graph import load, random_graph, save
from tinyformer.hardware import targets

SHORT = '--trials 3 --supernet-epochs 1 --float-epochs 1 --prune-epochs 1 --qat-epochs 1'.split()


@pytest.fixture
def say(capsys, monkeypatch, tmp_path):
    "Run the command in an empty folder; give its exit code, output and error line."
    monkeypatch.chdir(tmp_path)
    def run(*words):
        code = cli.main([str(w) for w in words])
        out, err = capsys.readouterr()
        return code, out, err
    return run


@pytest.fixture
def refused(say):
    "Run a command that must fail with one line, no traceback, and `words` in it."
    def run(*argv, words=()):
        code, _, err = say(*argv)
        assert code == 1, err
        line = [l for l in err.splitlines() if l.startswith('tinyformer: ')]
        assert len(line) == 1 and 'Traceback' not in err and 'unexpected' not in line[0], err
        for w in words: assert w in line[0], line[0]
        return line[0]
    return run


@pytest.fixture
def model(tmp_path):
    path = tmp_path/'random.tfm'
    save(random_graph(0), path)
    return path


COMMANDS = ('deploy fit demo search rank train compress compile simulate report bench plan evaluate zoo '
            'targets board export size').split()

@pytest.mark.parametrize('command', COMMANDS)
def test_help_has_units_and_defaults(command, capsys):
    with pytest.raises(SystemExit) as e: cli.main([command, '--help'])
    out = capsys.readouterr().out
    assert e.value.code == 0 and f'usage: tinyformer {command}' in out
    if command in ('demo', 'search'): assert '(default: 42KB)' in out and '1 KB = 1024 bytes' in out and '0 to 1' in out


def test_the_command_is_installed():
    exe = Path(sys.executable).with_name('tinyformer')
    r = subprocess.run([exe, '--version'], capture_output=True, text=True)
    assert r.returncode == 0 and r.stdout.startswith('tinyformer ')


def test_targets_lists_the_board(say):
    code, out, _ = say('targets')
    assert code == 0 and 'stm32f746' in out and '320 KB' in out
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert all(t.name in lines for t in targets())
    assert 'Cortex-M0 ' in lines['rp2040'] and 'not known' in lines['rp2350'] and 'estimated' in lines['rp2040']


def test_compile_for_another_board_and_for_a_project_of_ones_own(say, tmp_path):
    model, fw = tmp_path/'m.tfm', tmp_path/'fw'
    save(random_graph(0, (4, 4, 2), 4, 1), model)
    code, out, _ = say('compile', model, '--target', 'stm32u575', '--prefix', 'kws', '--cc', 'zig', '--out', fw)
    assert code == 0 and 'instructions are those of a cortex-m7' in out and 'entry kws_invoke' in out
    assert ', 0 cycles' not in out and 'cycles' not in out
    assert 'int kws_invoke(' in (fw/'model.h').read_text() and (fw/'build').is_dir()
    code, out, _ = say('compile', model, '--port', 'host', '--out', tmp_path/'own')
    assert code == 0 and 'not linked' in out and not (tmp_path/'own'/'port').exists()
    for typed, words in ((('--port', 'toaster'), 'known: stm32f746'), (('--port', 'rp2040'), 'does not start on'),
                         (('--prefix', '2x'), 'cannot begin')):
        code, _, err = say('compile', model, *typed, '--out', tmp_path/'no')
        assert code == 1 and words in err and not (tmp_path/'no').exists()


def test_bench_measures_and_compares(say):
    code, out, _ = say('bench', '--op', 'pointwise', '--h', 4, '--w', 4, '--cin', 16, '--cout', 24, '--sparsity', 0, .8,
                       '--json', '-')
    rows = json.loads(out)
    assert code == 0 and [r['sparsity'] for r in rows] == [0, .8]
    assert all(r['bytes_compared'] == 4 * 4 * 24 and r['bytes_different'] == 0 and r['instructions'] > 0 for r in rows)
    assert rows[1]['instructions'] < rows[0]['instructions'] and rows[1]['weight_bytes'] < rows[0]['weight_bytes']


def test_unknown_target_lists_the_known_ones(refused):
    refused('demo', '--target', 'stm32f747', words=['stm32f747', 'stm32f746'])


def test_unknown_dataset(refused): refused('demo', '--dataset', 'digit', *SHORT, words=['digits'])


def test_missing_data_folder(refused, monkeypatch, tmp_path):
    monkeypatch.setenv('TINYFORMER_DATA', str(tmp_path/'nowhere'))
    refused('demo', '--dataset', 'my_photos', *SHORT, words=['nowhere'])


@pytest.mark.parametrize('argv, words', [
    (['--flash', '7KB'], ['flash']), (['--sram', '1KB'], ['SRAM']), (['--flash', '2MB'], ['flash']),
    (['--flash', 'much'], ['much']),
    (['--trials', '0'], ['trials']), (['--lo', '1.5'], ['λ_lo'])])
def test_budget_nobody_can_meet(refused, argv, words): refused('demo', *argv, words=words)


def test_other_settings_in_the_same_folder(say, refused):
    refused('search', '--sram', '1KB', '--out', 'run')
    refused('search', '--sram', '2KB', '--out', 'run', words=["sram='1KB'", '--fresh'])
    refused('search', '--sram', '2KB', '--out', 'run', '--fresh', words=['SRAM'])


@pytest.mark.parametrize('command', 'train compress report'.split())
def test_a_step_without_the_one_before(refused, command, tmp_path):
    refused(command, tmp_path, words=['not a run folder', 'tinyformer search'])
    refused('search', '--sram', '1KB', '--out', 'run')
    refused(command, 'run', words=['first run', 'tinyformer'])


def test_a_folder_that_cannot_be_written(refused):
    refused('search', '--out', '/proc/tinyformer/run', words=['cannot write', '/proc/tinyformer'])


def test_the_run_folder_is_a_file(refused, tmp_path):
    (tmp_path/'file').write_text('x')
    refused('search', '--out', 'file', words=['file'])


LIMITED = '''import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from tinyformer.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
sys.exit(main(sys.argv[1:]))'''


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    "No file may grow over 2,000 bytes, as if the disk were full."
    r = subprocess.run([sys.executable, '-c', LIMITED, 'search', '--out', 'run', *SHORT], cwd=tmp_path,
                       capture_output=True, text=True)
    assert r.returncode == 1 and 'tinyformer: cannot write' in r.stderr and 'Traceback' not in r.stderr, r.stderr
    left = sorted(p.name for p in (tmp_path/'run').iterdir())
    assert left == ['.tinyformer', 'run.json'], left


def test_model_over_flash_or_sram(refused, model):
    refused('compile', model, '--flash', '2KB', words=['flash', 'bytes'])
    refused('compile', model, '--sram', '1KB', words=['SRAM'])
    assert not model.with_name('random_firmware').exists()


def test_another_kernel_for_a_layer(say, refused, model):
    "The choice of the cost table is shown and can be overridden, layer by layer."
    layer = load(model).ops[-1].name
    _, out, _ = say('compile', model, '--objective', 'speed', '--kernel', f'{layer}=tfm_linear_s8_rle_ref:1x2')
    assert any(layer in line and 'tfm_linear_s8_rle_ref' in line
               and '1x2' in line and 'predicted' in line for line in out.splitlines())
    refused('compile', model, '--kernel', f'{layer}=tfm_add_s8_dsp',
            words=[layer, 'can be run by', 'tfm_linear_s8_dsp'])
    refused('compile', model, '--kernel', 'ghost=tfm_add_s8_dsp', words=["no layer 'ghost'"])


def test_compile_and_simulate_a_model_file(say, model):
    code, out, err = say('compile', model)
    assert code == 0 and 'bytes of flash' in out, err
    assert (model.with_name('random_firmware')/'model.c').is_file()


def test_foreign_and_damaged_model_files(refused, tmp_path, model):
    refused('compile', tmp_path/'none.tfm', words=['none.tfm'])
    (tmp_path/'text.tfm').write_text('not a model')
    refused('compile', tmp_path/'text.tfm', words=['text.tfm'])
    with zipfile.ZipFile(tmp_path/'zip.tfm', 'w') as z: z.writestr('a.txt', 'hello')
    refused('simulate', tmp_path/'zip.tfm', words=['zip.tfm'])
    model.write_bytes(model.read_bytes()[:-1])
    refused('compile', model, words=['random.tfm'])


def test_wrong_input_shape(refused, tmp_path):
    save(random_graph(0, (6, 6, 3)), tmp_path/'six.tfm')
    refused('simulate', 'six.tfm', words=['takes images of 6x6x3', 'digits has 8x8x1'])


def test_options_of_the_other_kind_are_refused(refused, tmp_path):
    "A model file has no steps to repeat, and a run folder has its settings: neither is ignored without a word."
    save(random_graph(0, (8, 8, 1)), tmp_path/'m.tfm')
    for command, option in (('compile', '--again'), ('simulate', '--again'), ('simulate', '--qemu')):
        refused(command, 'm.tfm', option, words=[f'{option} is for a run folder'])
    refused('search', '--sram', '1KB', '--out', 'run')
    for command, *options in (('compile', '--no-check'), ('simulate', '--images', 3), ('simulate', '--dataset', 'x')):
        refused(command, 'run', *options, words=[f'{options[0]} is for a model file'])
    refused('simulate', 'm.tfm', '--images', 1000, words=['1000 images', '360'])


def test_debug_shows_the_traceback():
    from tinyformer.errors import UnknownTarget
    with pytest.raises(UnknownTarget): cli.main(['demo', '--target', 'none', '--debug'])


def test_missing_compiler_gives_the_install_command(refused, model, monkeypatch):
    monkeypatch.setenv('PATH', os.devnull)
    refused('compile', model, '--cc', 'gcc', words=['nstall'])


# ---- nothing that a person made is lost

def snapshot(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


def test_a_model_is_not_turned_into_a_folder(refused, model):
    whole = model.read_bytes()
    refused('compile', model, '--out', model, words=['random.tfm is a file'])
    refused('simulate', model, '--out', model, words=['random.tfm is a file'])
    assert model.read_bytes() == whole


def test_a_folder_with_a_plan_of_somebody_else_is_left_alone(refused, model, tmp_path):
    (tmp_path/'garden').mkdir()
    (tmp_path/'garden'/'plan.json').write_text('roses')
    (tmp_path/'garden'/'seeds.txt').write_text('precious')
    before = snapshot(tmp_path)
    refused('compile', model, '--out', 'garden', words=['not generated here'])
    assert snapshot(tmp_path) == before


def test_edits_in_the_firmware_folder_stay(say, refused, model, tmp_path):
    assert say('compile', model)[0] == 0
    fw = tmp_path/'random_firmware'
    with open(fw/'model.c', 'a') as f: f.write('/* mine */')
    (fw/'notes.txt').write_text('mine')
    before = snapshot(tmp_path)
    for command in ('compile', 'simulate'):
        refused(command, model, words=['model.c (changed)', 'notes.txt', 'Move it away'])
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize('extra', [[], ['--fresh']])
def test_a_run_in_the_folder_of_somebody_else(refused, tmp_path, extra):
    "Files of the names that a run uses are neither taken for its results nor replaced nor removed."
    mine = tmp_path/'mine'
    (mine/'rank'/'7').mkdir(parents=True)
    for name in ('train.json', 'report.json', 'report.md', 'model.tfm', 'rank/notes.txt', 'rank/7/train.json'):
        (mine/name).write_text('mine')
    (mine/'supernas.json').write_text('mine')
    before = snapshot(mine)
    refused('demo', '--out', 'mine', *SHORT, *extra, words=['did not write', 'supernas.json'])
    left = snapshot(mine)
    assert {n: left.pop(n) for n in before} == before and set(left) <= {'run.json', '.tinyformer'}


def test_a_foreign_result_does_not_count_as_done(refused, tmp_path):
    refused('search', '--sram', '1KB', '--out', 'run')
    (tmp_path/'run'/'train.json').write_text('{"val_accuracy": 1.0}')
    refused('train', 'run', words=['train.json', 'did not write'])
    refused('train', 'run', '--again', words=['train.json', 'did not write'])
    refused('search', '--sram', '1KB', '--out', 'run', '--fresh', words=['train.json', 'did not write'])
    assert (tmp_path/'run'/'train.json').read_text() == '{"val_accuracy": 1.0}'


@pytest.mark.parametrize('option', ['--json', '--report'])
def test_a_result_does_not_replace_what_somebody_made(say, refused, model, images, tmp_path, option):
    (tmp_path/'thesis.txt').write_text('precious')
    (tmp_path/'notes.json').write_text('{"about": "mine"}')
    before = snapshot(tmp_path)
    said = {model: 'would replace what the command reads', images: 'would replace', 'thesis.txt': 'would be lost',
            'notes.json': 'would be lost'}
    for target, words in said.items():
        refused('evaluate', model, '--data', images, '--images', 2, option, target, words=[words])
    assert snapshot(tmp_path) == before
    for _ in range(2):                                                   # an earlier result is replaced
        assert say('evaluate', model, '--data', images, '--images', 2, '--json', 'new.json')[0] == 0


def test_a_bench_result_does_not_replace_what_somebody_made(refused, tmp_path):
    (tmp_path/'thesis.txt').write_text('precious')
    for option in ('--json', '--record'): refused('bench', option, 'thesis.txt', words=['would be lost'])
    assert (tmp_path/'thesis.txt').read_text() == 'precious'


def test_a_plan_does_not_replace_what_somebody_made(say, refused, tmp_path):
    (tmp_path/'p.csv').write_text('id,lower,upper,size\na,0,1,8\nb,0,2,8\n')
    for _ in range(2): assert say('plan', 'p.csv')[0] == 0                # an earlier plan is replaced
    (tmp_path/'p.plan.csv').write_text('precious')
    (tmp_path/'thesis.txt').write_text('precious')
    before = snapshot(tmp_path)
    refused('plan', 'p.csv', words=['p.plan.csv', 'would be lost'])
    refused('plan', 'p.csv', '--out', 'thesis.txt', words=['would be lost'])
    refused('plan', 'p.csv', '--out', 'p.csv', words=['would replace what the command reads'])
    refused('plan', 'p.csv', '--out', 'new.csv', '--json', 'p.csv', words=['would replace what the command reads'])
    refused('plan', 'p.csv', '--out', 'new.csv', '--seed', -1, words=['--seed is -1'])
    assert snapshot(tmp_path) == before


# ---- settings are checked before anything is written

NUMBERS = dict(supernets='0 -1', trials='0 1000001', seed='-1 4294967296', supernet_epochs='0', float_epochs='-3',
               prune_epochs='0', qat_epochs='100001', max_drop='nan -0.1 1.1 inf', max_instructions='-1',
               batch_size='0',
               lr='nan 0 -1 inf', threads='0 100000', lo='nan -1 1', hi='nan inf 2 0')


@pytest.mark.parametrize('name, value', [(n, v) for n, values in NUMBERS.items() for v in values.split()])
def test_a_number_that_makes_no_sense_is_refused_at_once(refused, tmp_path, name, value):
    line = refused('demo', f"--{name.replace('_', '-')}", value, words=[])
    assert name in line or 'λ_lo' in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('argv', [['--dataset', 'digit'], ['--space', 'none.json'], ['--target', 'none'],
                                  ['--flash', 'x'], ['--sampler', 'dice']])
def test_nothing_is_written_before_the_settings_are_checked(refused, tmp_path, argv):
    refused('demo', '--out', 'new', *argv)
    assert list(tmp_path.iterdir()) == []
    refused('search', '--sram', '1KB', '--out', 'run')
    before = snapshot(tmp_path)
    refused('search', '--out', 'run', '--fresh', *argv)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize('argv', [
    'bench --cin 0', 'bench --h -1', 'bench --w 40000', 'bench --heads 0', 'bench --stride 0', 'bench --seed -1',
    'bench --sparsity nan', 'bench --sparsity 0 1.5',
    'bench --sparsity -1', 'bench --cin 32767 --cout 32767', 'bench --tokens 32767 --cin 32767', 'bench --op nothing',
    'bench --suite none', 'bench --objective fun',
    'search --workers 0', 'search --workers 100000', 'rank none --models 0', 'simulate random.tfm --images -1',
    'evaluate random.tfm --images 0',
    'evaluate random.tfm --images -1', 'evaluate random.tfm --compare -1',
    'evaluate random.tfm --report r.json --device-images 0', 'evaluate random.tfm --on mars'])
def test_options_of_other_commands_are_checked_too(refused, model, argv, tmp_path):
    before = snapshot(tmp_path)
    refused(*argv.split())
    assert snapshot(tmp_path) == before


def test_an_option_that_a_run_folder_would_ignore_is_refused(refused, tmp_path):
    refused('search', '--sram', '1KB', '--out', 'run')
    refused('compile', 'run', '--memory', 'least', words=['--memory is for a model file'])
    refused('simulate', 'run', '--out', 'elsewhere', words=['--out is for a model file'])


# ---- strangers

def test_escape_sequences_of_a_stranger_are_shown_and_not_obeyed(say, model, images, tmp_path):
    evil = 'x\x1b[31m\x1b]0;owned\x07'
    said = [say('evaluate', load_with_meta(model, evil)), say('evaluate', f'{evil}.tfm'),
            say('evaluate', model, '--data', evil)]
    say('evaluate', model, '--data', images, '--images', 2, '--report', 'card.json')
    say('zoo', '--add', model, '--name', 'mine', '--card', 'card.json', '--folder', 'shelf')
    card = tmp_path/'shelf'/'mine.json'
    card.write_text(card.read_text().replace('images.npz', json.dumps(evil)[1:-1]))
    said += [say('zoo', '--folder', 'shelf'), say('zoo', 'mine', '--folder', 'shelf')]
    for _, out, err in said: assert r'\x1b[31m' in out + err and not set('\x1b\x07') & set(out + err)


def test_a_model_does_not_choose_which_file_is_opened(refused, say, model, images, tmp_path, monkeypatch):
    "Its data set is a name of one known here; a path in its place is refused, also where pictures are looked for."
    from tinyformer import zoo
    secret = tmp_path/'secret'/'private.npz'
    secret.parent.mkdir()
    secret.write_bytes(images.read_bytes())
    monkeypatch.setenv('TINYFORMER_DATA', str(tmp_path/'secret'))
    right = np.load
    def watched(file, *a, **k): return pytest.fail(f'opened {file}') if 'private' in str(file) else right(file, *a, **k)
    monkeypatch.setattr(np, 'load', watched)
    paths = [str(secret), '../secret/private', 'secret/private.npz', str(tmp_path/'random.tfm')]
    for wish in (*paths, '', 5, None, ['digits'], {'a': 1}):
        refused('evaluate', load_with_meta(model, wish))
        g = zoo.load(model)
        g.meta['dataset'] = wish                                         # as if a reader let it pass
        with pytest.raises(UnknownDataset, match='not known here'): zoo.evaluate(g)
        assert zoo.pictures(g, 2)[1] is None


def load_with_meta(model, wish):
    "A model file that names a data set, written past the checks of `save`."
    path = model.with_name('wish.tfm')
    with zipfile.ZipFile(model) as z, zipfile.ZipFile(path, 'w') as to:
        for item in z.infolist():
            raw = z.read(item)
            if item.filename == 'graph.json.npy':
                held = json.loads(np.lib.format.read_array(io.BytesIO(raw)).tobytes())
                held['meta'] = dict(dataset=wish)
                out = io.BytesIO()
                np.lib.format.write_array(out, np.frombuffer(json.dumps(held).encode(), np.uint8))
                raw = out.getvalue()
            to.writestr(item, raw)
    return path


@pytest.mark.parametrize('damage', ['{', '[]', '{"name": 1}', 'type', 'folder', 'binary'])
def test_a_tampered_card_is_no_bug(say, refused, model, images, tmp_path, damage):
    say('evaluate', model, '--data', images, '--images', 2, '--report', 'card.json')
    say('zoo', '--add', model, '--name', 'mine', '--card', 'card.json', '--folder', 'shelf')
    card = tmp_path/'shelf'/'mine.json'
    good = json.loads(card.read_text())
    if damage == 'type':
        for field in good:
            for value in (None, 'x', 5, [], {}, {'a': 1}, [1, 2]):
                card.write_text(json.dumps(good | {field: value}))
                for argv in (['zoo'], ['zoo', 'mine']):
                    code, out, err = say(*argv, '--folder', 'shelf')
                    assert 'unexpected' not in err and code == (1 if err else 0), (field, value, err)
        return
    card.unlink()
    if damage == 'folder': card.mkdir()
    elif damage == 'binary': card.write_bytes(b'\xff\xfe\x00')
    else: card.write_text(damage)
    if damage == 'folder': refused('zoo', 'mine', '--folder', 'shelf', words=["no model 'mine'"])
    else: refused('zoo', 'mine', '--folder', 'shelf', words=['mine.json is damaged', 'tinyformer evaluate mine.tfm'])
    for other in ('shelf/mine.json', 'none.json'):
        refused('zoo', '--add', model, '--name', 'other', '--folder', 'shelf', '--card', other)


def test_adding_to_the_zoo_replaces_only_a_model_of_it(say, refused, model, images, tmp_path):
    say('evaluate', model, '--data', images, '--images', 2, '--report', 'card.json')
    (tmp_path/'mine.tfm').write_text('precious')
    (tmp_path/'mine.json').write_text('precious')
    (tmp_path/'half.json').write_text('precious')
    before = snapshot(tmp_path)
    for name in ('mine', 'half', 'random'):
        words = ['zoo', '--add', model, '--name', name, '--card', 'card.json', '--folder', '.']
        for again in ([], ['--again']): refused(*words, *again, words=['no model with its card'])
    assert snapshot(tmp_path) == before


# ---- evaluate and zoo

@pytest.fixture
def images(tmp_path):
    "An .npz whose labels are what the random model says, but for one in four."
    from tinyformer.graph import predict
    g = random_graph(0)
    x = np.random.default_rng(0).integers(0, 256, (12, *g.tensors[g.input].shape), dtype=np.uint8)
    y = predict(g, x)
    y[::4] = (y[::4] + 1) % 10
    np.savez(tmp_path/'images.npz', x_test=x, y_test=y)
    return tmp_path/'images.npz'


@pytest.mark.parametrize('on', ['reference', 'host', 'device'])
def test_evaluate_a_file_anywhere(say, model, images, on, tmp_path):
    code, out, _ = say('evaluate', model, '--data', images, '--on', on, '--images', 8, '--json', 'r.json')
    r = json.loads((tmp_path/'r.json').read_text())
    assert code == 0 and '75.00% right (6 of 8 images)' in out
    assert {'accuracy', 'images', 'bytes_compared', 'bytes_different', 'instructions_per_inference'} <= set(r)
    assert (r['accuracy'], r['images'], r['bytes_different']) == (.75, 8, 0)
    assert (r['instructions_per_inference'] is None) == (on != 'device')
    assert json.loads(say('evaluate', model, '--data', images, '--json', '-')[1])['images'] == 12


def test_evaluate_a_shipped_model_on_its_own_data(say):
    code, out, _ = say('evaluate', 'digits', '--images', 50)
    assert code == 0 and 'digits on test images of digits' in out


def test_evaluate_with_a_wrong_argument(refused, model, images, tmp_path):
    refused('evaluate', 'digit', words=["no model 'digit'", "did you mean 'digits'?"])
    refused('evaluate', 'none.tfm', words=['no model file none.tfm'])
    refused('evaluate', model, '--data', images, '--images', 13, words=['13 images were asked for', 'has 12'])
    refused('evaluate', model, '--data', 'none.npz', words=['no file none.npz'])
    np.savez(tmp_path/'half.npz', x_test=np.load(images)['x_test'])
    refused('evaluate', model, '--data', 'half.npz', words=['half.npz has no y_test'])
    refused('evaluate', 'digits', '--data', images, words=['takes images of 8x8x1', 'images.npz has'])
    refused('evaluate', model, '--data', images, '--on', 'device', '--flash', '1KB', words=['flash', 'bytes'])
    model.write_bytes(model.read_bytes()[:-9])
    refused('evaluate', model, '--data', images, words=['random.tfm is not a sound model'])


def test_evaluate_says_how_much_it_compared(say, model, images):
    assert '0 of 30 differ from the reference, over 3 of 12 images' in say('evaluate', model, '--data', images, '--on',
        'host', '--compare', 3)[1]


def test_evaluate_fails_when_bytes_differ(refused, model, images, monkeypatch):
    from tinyformer import evaluation
    right = evaluation.run_host
    monkeypatch.setattr(evaluation, 'run_host', lambda fw, x, cc: right(fw, x, cc) ^ 1)
    refused('evaluate', model, '--data', images, '--on', 'host', words=['120 output bytes differ'])


def test_a_model_goes_into_the_zoo(say, refused, model, images, tmp_path):
    (tmp_path/'notes.json').write_text(json.dumps(dict(about='random weights', copy='noise', commit='abc',
                                                       accuracy_float=.5)))
    code, out, err = say('evaluate', model, '--data', images, '--report', 'card.json', '--notes', 'notes.json',
                         '--device-images', 2)
    assert code == 0 and 'float 50.00%, pruned not measured, int8 75.00% on 12 test images' in out, err
    assert json.loads((tmp_path/'card.json').read_text())['measured']['command'].startswith('tinyformer evaluate '
                                                                                            'random.tfm --data '
                                                                                            'images.npz')
    assert say('zoo', '--add', model, '--name', 'mine', '--card', 'card.json', '--folder', 'shelf')[0] == 0
    assert 'mine' in say('zoo', '--folder', 'shelf')[1] and 'random weights' not in say('zoo', '--folder', 'shelf')[1]
    assert 'host 0 of 120, device 0 of 20' in say('zoo', 'mine', '--folder', 'shelf')[1]
    refused('zoo', '--add', model, '--name', 'mine', '--card', 'card.json', '--folder', 'shelf',
            words=["there is a model 'mine' already", '--again'])
    refused('zoo', '--add', model, words=['--name', '--report'])
    refused('zoo', 'digits', '--folder', 'shelf', words=["no model 'digits'", 'mine'])


def test_the_zoo_lists_what_is_shipped(say):
    code, out, _ = say('zoo')
    assert code == 0 and 'digits' in out and 'int8 accuracy' in out
