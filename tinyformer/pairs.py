"""The exact search of `memory_alloc` for buffers that need not rest on anything: fixed ones, and those that keep some
bytes in a gap. It decides, pair by pair, which of two buffers lies above the other."""


def forbidden(
    a,  # pieces of one buffer: (start, stop, low, high)
    b,  # pieces of another
):      # of (low, high), sorted: the second may not start between these two distances above the first
    "Open ranges of the distance between two buffers at which they share a byte at some step."
    out = []
    for start, stop, low, high in a:
        for start2, stop2, low2, high2 in b:
            if start < stop2 and start2 < stop and low < high and low2 < high2: out.append((low - high2, high - low2))
    joined = []
    for low, high in sorted(out):
        if joined and low < joined[-1][1]: joined[-1] = joined[-1][0], max(joined[-1][1], high)
        else: joined.append((low, high))
    return joined


class TooMuch(Exception):
    "The steps are used up."


class Search:
    "Lowest offsets under rules of the form: b starts at least n bytes above the start of a."
    def __init__(self, items, best, nodes):
        self.items, self.best, self.nodes = items, best, nodes
        n = len(items)
        if n * (n - 1) // 2 > nodes: raise TooMuch
        pairs = [(i, j, forbidden(items[i][0], items[j][0])) for i in range(n) for j in range(i + 1, n)]
        self.pairs = sorted((p for p in pairs if p[2]), key=lambda p: -min(items[p[0]][2], items[p[1]][2]))

    def spend(self, steps):
        self.nodes -= steps
        if self.nodes < 0: raise TooMuch

    def lowest(self, at, rules):
        "The least offsets from `at` up that keep all rules; None when that reaches the best peak or moves a fixed one."
        at, moved = list(at), True
        while moved:
            moved, rest = False, rules
            while rest:
                (a, b, n), rest = rest
                self.spend(1)
                if at[b] >= at[a] + n: continue
                _, step, size, fixed = self.items[b]
                at[b], moved = -(-(at[a] + n) // step) * step, True
                if fixed is not None or at[b] + size >= self.best: return None
        return at

    def clash(self, at):
        "Two buffers that share a byte, as the two rules of which one must hold; None when there are none."
        self.spend(len(self.pairs) + 1)
        for i, j, ranges in self.pairs:
            for low, high in ranges:
                if low < at[j] - at[i] < high: return (i, j, high), (j, i, -low)


def pair_search(
    items,  # of (pieces, step, size, fixed): what it uses when, what its offset divides by, bytes, offset or None
    best,   # bytes: look only below this peak
    goal,   # bytes: a peak that cannot be lower
    nodes,  # pairs to look at, at most
):          # (offsets or None, whether there is no better one)
    """The lowest plan below `best`.

    A node is a set of rules with the least offsets that keep them; every plan that keeps the rules lies nowhere lower.
    If those offsets clash for no pair they are the best plan of the node. Else the distance of the pair must be at
    least the upper end of the range that it is in, or at most the lower end: two rules, and no plan is lost."""
    def height(at, rule): return at[rule[0]] + rule[2] + items[rule[1]][2]  # of the buffer that it lifts
    found, start = None, [fixed or 0 for *_, fixed in items]
    try:
        search = Search(items, best, nodes)
        branches = [(start, ())]
        while branches and search.best > goal:
            at, rules = branches.pop()
            at = search.lowest(at, rules)
            if at is None: continue
            peak = max((a + size for a, (_, _, size, _) in zip(at, items)), default=0)
            if peak >= search.best: continue
            ways = search.clash(at)
            if ways is None: search.best, found = peak, at
            else:
                ways = sorted(ways, key=lambda way: height(at, way), reverse=True)
                branches += [(at, (way, rules)) for way in ways]
    except TooMuch: return found, False
    return found, True
