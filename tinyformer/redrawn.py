"""A picture that is drawn again while a long computation runs: in place in a notebook, and in a PNG file.

Plumbing of `sparsenas`. A subclass says what is drawn."""
import io, sys, time
from pathlib import Path

from tinyformer.files import atomic_path


class Redrawn:
    "One picture that changes; `figure` of a subclass draws what is known so far."
    def __init__(
        self,
        path: Path = None,  # PNG file to rewrite as well
        share: float = 0.1,  # of the time that may go into drawing
        show: bool = True,  # in the notebook
    ):
        self.path, self.share, self.show = path, share, show
        self.handle, self.due, self.drawn = None, 0., 0    # shown; when to draw next; how often

    def __call__(
        self,
        result: object,  # f() → what is known so far; asked when it is time to draw
        last: bool = False,  # draw now
    ):
        "Draw, unless the last drawing was just now."
        before = time.monotonic()
        if before < self.due and not last: return
        self.draw(result())
        spent = time.monotonic() - before
        self.drawn, self.due = self.drawn + 1, time.monotonic() + spent / self.share

    def draw(
        self,
        result: object,  # what is known so far
    ):
        "Draw into the file and into the page."
        from IPython.display import Image, display
        import matplotlib.pyplot as plt
        fig, png = self.figure(result), io.BytesIO()
        fig.savefig(png, format='png', dpi=110, bbox_inches='tight')
        plt.close(fig)
        if self.path: write_bytes(self.path, png.getvalue())
        if self.handle: self.handle.update(Image(png.getvalue()))
        elif self.show and in_notebook(): self.handle = display(Image(png.getvalue()), display_id=True)


def in_notebook() -> bool:
    "Whether a Jupyter kernel runs this and can replace a picture that it has shown."
    shell = getattr(sys.modules.get('IPython'), 'get_ipython', lambda: None)()
    return hasattr(shell, 'kernel')


def write_bytes(
    path: Path,  # file
    content: bytes,  # all of it
):
    "Write a file in one step, so that nobody reads half a picture."
    with atomic_path(path) as tmp: tmp.write_bytes(content)
