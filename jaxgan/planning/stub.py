import re, math
from typing import NamedTuple


class C(NamedTuple):
    kind: str
    size: float
    group: int


_L = re.compile(
    r"= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
)


def collective_list(text):
    from jaxgan.planning.estimate import _bytes

    out = []
    for line in text.splitlines():
        m = _L.search(line)
        if m:
            g = re.search(r"replica_groups=mesh\[([^\]]*)\] ?\{([^}]*)\}", line)
            n = 1
            if g:
                sizes = dict(re.findall(r"'(\w+)'=(\d+)", g.group(1)))
                for a in re.findall(r"'(\w+)'", g.group(2)):
                    n *= int(sizes[a])
            elif g := re.search(r"replica_groups=\[(\d+),(\d+)\]", line):
                n = int(g.group(2))
            elif g := re.search(r"replica_groups=\{\{([\d,]*)\}", line):
                n = len(g.group(1).split(","))
            out.append(C(m.group(2), _bytes(m.group(1)), n))
    return out
