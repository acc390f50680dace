"""A picture that is drawn again and again takes a small share of the time, and its file is never half written."""
import matplotlib
import pytest

from tinyformer import redrawn
from tinyformer.errors import RunFolderError

matplotlib.use('Agg')


class Line(redrawn.Redrawn):
    "Draws what it is given as a line."
    def figure(self, result):
        import matplotlib.pyplot as plt
        fig = plt.figure(figsize=(2, 1))
        fig.add_subplot().plot(result)
        return fig


def test_what_comes_too_soon_is_not_drawn(tmp_path, monkeypatch):
    now, asked = [0.], []
    monkeypatch.setattr(redrawn.time, 'monotonic', lambda: now[0])
    live = Line(tmp_path/'live.png')
    live.draw = lambda result: now.__setitem__(0, now[0] + 1)         # a drawing takes a second
    def result(): asked.append(now[0]); return [1, 2]
    live(result)
    for now[0] in (2., 10.9): live(result)                            # at most a tenth of the time goes into drawing
    assert (live.drawn, asked) == (1, [0.])
    now[0] = 11.
    live(result)
    live(result, last=True)
    assert (live.drawn, len(asked)) == (3, 3)


def test_the_file_holds_the_last_picture(tmp_path):
    live = Line(tmp_path/'live.png', show=False)
    live(lambda: [1, 2])
    first = (tmp_path/'live.png').read_bytes()
    live(lambda: [2, 1], last=True)
    assert first[:4] == b'\x89PNG' and (tmp_path/'live.png').read_bytes() != first
    assert [p.name for p in tmp_path.iterdir()] == ['live.png']


def test_without_a_file_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    live = Line()
    live(lambda: [1, 2])
    assert (live.drawn, live.handle, list(tmp_path.iterdir())) == (1, None, [])


def test_a_kernel_is_known_by_its_shell(monkeypatch):
    assert not redrawn.in_notebook()
    class Shell: kernel = object()
    class IPython: get_ipython = staticmethod(Shell)
    monkeypatch.setitem(redrawn.sys.modules, 'IPython', IPython)
    assert redrawn.in_notebook()


def test_bytes_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    redrawn.write_bytes(tmp_path/'bytes', b'abc')
    assert (tmp_path/'bytes').read_bytes() == b'abc'
    def half(path, content):
        path.open('wb').write(content[:1])
        raise OSError('the disk is full')
    monkeypatch.setattr(redrawn.Path, 'write_bytes', half)
    with pytest.raises(RunFolderError, match='the disk is full'): redrawn.write_bytes(tmp_path/'bytes', b'xyz')
    assert (tmp_path/'bytes').read_bytes() == b'abc'
