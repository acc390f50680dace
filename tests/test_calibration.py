"""What a user may hand in to calibrate a network, form by form, and what is refused."""
import numpy as np, pytest
import torch, torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

from tinyformer import calibration as cal, importer
from tinyformer.errors import BadInput

PIXELS = np.random.default_rng(10).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
SIGHT = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
FLATTEN = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(32, 4))
WANT = torch.from_numpy(PIXELS).permute(0, 3, 1, 2) / 255
LABELLED = TensorDataset(WANT, torch.arange(5))


def refused(words, f, *args):
    with pytest.raises(BadInput) as e: f(*args)
    assert words in str(e.value)


# ---- what is in hand -------------------------------------------------------------------------------------------------

def test_batches_of_a_loader_and_of_a_data_set():
    assert [tuple(b.shape) for b in cal.gather(DataLoader(LABELLED, 2))] == [(2, 3, 4, 6)]*2 + [(1, 3, 4, 6)]
    assert len(cal.gather(LABELLED)) == 5                    # one image at a time
    assert cal.item((LABELLED.tensors[0], 0)).shape == (5, 3, 4, 6)
    assert [o.shape for o in cal.gather((WANT, torch.arange(5)))] == [WANT.shape]


@pytest.mark.parametrize('wrong', ['file.npz', {}, 3, [[.1, .2]], [], None])
def test_what_holds_no_arrays_is_refused(wrong): refused('calibration', cal.gather, wrong)


def test_a_long_stream_is_cut(monkeypatch):
    monkeypatch.setattr(cal, 'MOST', 3*WANT[0].numel())
    assert len(cal.gather(WANT[:1] for _ in range(9))) == 4


def test_what_a_number_means():
    assert np.allclose(cal.real(PIXELS).numpy(), PIXELS / 255, atol=1e-6)
    assert torch.equal(cal.real(torch.tensor([7.]).double()), torch.tensor([7.]))
    for wrong in (PIXELS.astype(np.int8), PIXELS.astype(int), torch.tensor(PIXELS), PIXELS > 3):
        refused('two things', cal.real, wrong)
    refused('may be bytes', cal.real, PIXELS.astype(float))
    refused('not finite', cal.real, np.array([1., np.inf]))
    refused('empty', cal.real, PIXELS[:0])


# ---- where the channels are ------------------------------------------------------------------------------------------

def test_readings_come_in_tiers():
    image = torch.rand(4, 6, 3)
    assert [list(tier) for tier in cal.readings(image[None], True)] == [['[n, c, h, w]', '[n, h, w, c]']]
    grey, _, one = cal.readings(image, True)
    assert (grey['[n, h, w]'].shape, one['one image [h, w, c]'].shape) == ((4, 1, 6, 3), (1, 3, 4, 6))
    assert cal.readings(image, False)[0]['[n, t, c]'].shape == (4, 3, 6)
    assert [len(tier) for tier in cal.readings(image[0], False)] == [1, 1, 2]
    assert cal.readings(image[0, 0], False) != [] and list(cal.readings(image[0, 0], False)[0]) == ['one vector']


def test_a_network_says_what_it_takes():
    assert cal.refuses(FLATTEN, torch.rand(1, 3, 4, 10)) == ''
    assert 'channels' in cal.refuses(FLATTEN, torch.rand(1, 4, 10, 3))
    assert cal.refuses(nn.Flatten(0), torch.rand(1, 3)) == 'gives (6,) for 2 rows'


def test_a_program_knows_its_shape():
    program = torch.export.export(FLATTEN.eval(), (torch.rand(1, 3, 4, 10),))
    said = [cal.refuses(cal.runnable(program), torch.rand(1, 3, 4, n)) for n in (10, 9)]
    assert said == ['', 'the program reads (3, 4, 10)']
    double = nn.Sequential(nn.Flatten(), nn.Linear(6, 2)).double()
    assert cal.refuses(cal.runnable(double), torch.rand(1, 3, 2)) == ''


FORMS = dict(bytes=PIXELS, floats=PIXELS / 255, tensor=WANT, double=WANT.double(), array=WANT.numpy(),
             bytes_first=PIXELS.transpose(0, 3, 1, 2), list=list(WANT), loader=DataLoader(LABELLED, 2),
             labelled=(WANT, torch.arange(5)))


@pytest.mark.parametrize('form', FORMS)
def test_every_form_is_the_same_batch(form):
    assert torch.allclose(cal.as_features(FORMS[form], SIGHT), WANT, atol=1e-6)


def test_one_image_sequences_and_vectors():
    for one in (PIXELS[0], WANT[0], PIXELS[:1]): assert cal.as_features(one, SIGHT).shape == (1, 3, 4, 6)
    assert cal.as_features(PIXELS[..., 0], nn.Conv2d(1, 2, 3)).shape == (5, 1, 4, 6)
    series, wave = nn.Conv1d(9, 4, 3), torch.rand(5, 9, 20)
    for given in (wave, wave.numpy(), wave.numpy().swapaxes(1, 2)):
        assert torch.equal(cal.as_features(given, series), wave)
    assert torch.equal(cal.as_features(wave[:, :, 0].numpy(), nn.Linear(9, 2)), wave[:, :, 0])


def test_two_meanings_are_refused():
    cube = np.random.default_rng(0).random((4, 3, 5, 3))
    refused('[n, c, h, w] or [n, h, w, c]', cal.as_features, cube, SIGHT)
    assert torch.equal(cal.as_features(torch.tensor(cube), SIGHT), torch.tensor(cube).float())


@pytest.mark.parametrize('wrong,why', [(PIXELS[..., :2], 'cannot run on'), (PIXELS.astype(int), 'two things'),
                                       (PIXELS[:0], 'empty'), ([WANT, WANT[:, :, :3]], 'unlike'), (None, 'NoneType')])
def test_what_the_network_cannot_read_is_refused(wrong, why): refused(why, cal.as_features, wrong, SIGHT)


# ---- ranges and several inputs ---------------------------------------------------------------------------------------

def test_the_range_of_the_input():
    def given(*rows): return cal.input_range(torch.tensor(rows))
    assert given([0., .9]) == (0, 1) and given([0., 0.]) == (0, 1)
    assert given([-4., 8.]) == (-4, 8) and given([0., 200.]) == (0, 200)
    assert np.allclose(given([0., .02]), (0, .02))              # in 1/255 steps only six codes
    assert given(*[[-4., 8.]]*20, [-9., 90.]) == (-4, 8)


class Gate(nn.Module):
    def __init__(self): super().__init__(); self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(6, 4)
    def forward(self, picture, pose): return self.conv(picture).mean((2, 3)) * self.fc(pose)


def test_several_inputs_are_one_vector():
    gate, given = Gate(), (torch.rand(9, 3, 4, 5), torch.rand(9, 6))
    one, vector = cal.as_one_input(gate, given)
    assert (vector.shape, [p['first'] for p in one.parts]) == ((9, 66), [0, 60])
    assert torch.allclose(one(vector), gate(*given), atol=1e-5)
    assert cal.as_one_input(one, vector) == (one, vector)
    pictures = (given[0].movedim(1, -1)*255).round().byte().numpy()
    assert torch.allclose(cal.as_one_input(gate, (pictures, given[1]))[1], vector, atol=1/500)
    for wrong in (vector, given[:1], (given[0], given[1][:5])):
        refused('reads picture, pose', cal.as_one_input, gate, wrong)


def test_an_input_that_reaches_less_far_is_noted():
    gate, given = Gate(), (torch.rand(9, 3, 4, 5), torch.rand(9, 6))
    one, vector = cal.as_one_input(gate, given)
    assert cal.uneven(one.parts, vector) == []
    note, = cal.uneven(one.parts, importer.beside(given[0], given[1]/20))
    assert note.startswith('input pose reaches 0.0')
