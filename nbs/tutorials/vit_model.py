"""A small transformer for 32x32 colour images in plain PyTorch."""
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

RESULTS = Path(__file__).parent/'results'


class Net(nn.Module):
    "Three convolutions make 64 tokens of an image; a class token joins them; an encoder; a linear head."
    input_shape = 3, 32, 32

    def __init__(self, dim=64, heads=4, layers=2, classes=10):
        super().__init__()
        def conv(cin, cout): return nn.Conv2d(cin, cout, 3, padding=1, bias=False), nn.BatchNorm2d(cout)
        def half(): return nn.ReLU(), nn.MaxPool2d(2)
        self.tokens = nn.Sequential(*conv(3, 16), *half(), *conv(16, 32), *half(), *conv(32, dim))
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.randn(1, 65, dim) * .02)
        self.encoder = nn.Sequential(*[
            nn.TransformerEncoderLayer(dim, heads, 2 * dim, dropout=0., activation='gelu', batch_first=True,
                                       norm_first=True) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, classes)

    def forward(self, x):
        t = self.tokens(x).flatten(2).transpose(1, 2)
        t = torch.cat([self.cls.expand(len(t), -1, -1), t], 1) + self.positions
        return self.head(self.norm(self.encoder(t))[:, 0])


class OneQuery(nn.Module):
    "The same network; in its last layer the class token alone asks."
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        net = self.net
        t = net.tokens(x).flatten(2).transpose(1, 2)
        t = torch.cat([net.cls.expand(len(t), -1, -1), t], 1) + net.positions
        t, last = net.encoder[:-1](t), net.encoder[-1]
        n = last.norm1(t)
        one = t[:, :1] + last.self_attn(n[:, :1], n, n, need_weights=False)[0]
        one = one + last.linear2(F.gelu(last.linear1(last.norm2(one))))
        return net.head(net.norm(one)[:, 0])


def vit():
    "The network with its stored weights."
    net = Net()
    with np.load(RESULTS/'vit_cifar10.npz') as held:
        net.load_state_dict({k: torch.from_numpy(held[k]) for k in held.files})
    return net.eval()
