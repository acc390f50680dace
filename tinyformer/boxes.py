"""Drawing of a chain of places with alternatives, as boxes with lines between neighbours."""
import matplotlib.pyplot as plt


def draw_boxes(
    places:list, # lists of labels: the alternatives at each place
    path:list=None, # index of the marked alternative at each place; None = mark nothing
    ax:plt.Axes=None, # None = a new figure
)->plt.Axes:
    "Draw places from left to right, one box per alternative; a pure drawing."
    most = max(map(len, places))
    ax = ax or plt.subplots(figsize=(max(6, 1.05*len(places)), .5 + .5*most))[1]
    heights = [[(len(labels) - 1)/2 - j for j in range(len(labels))] for labels in places]
    def marked(i, j): return path is not None and path[i] == j
    for i, labels in enumerate(places):
        for j, label in enumerate(labels):
            box = dict(boxstyle='round', fc='#ffd27f' if marked(i, j) else '#dfe8f5', ec='grey')
            ax.text(i, heights[i][j], label, ha='center', va='center', fontsize=7, bbox=box)
            for k, before in enumerate(heights[i-1] if i else []):
                on = marked(i, j) and marked(i - 1, k)
                style = dict(color='#d08000', lw=1.6) if on else dict(color='#bbbbbb', lw=.6)
                ax.plot([i - 1, i], [before, heights[i][j]], zorder=0, **style)
    ax.set(xlim=(-.5, len(places) - .5), ylim=(-most/2, most/2))
    ax.axis('off')
    return ax
