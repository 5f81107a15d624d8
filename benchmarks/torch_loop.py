"""What a plain PyTorch loop does at its best: one persistent process, tensors at hand, no loader, a fused optimizer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from subtrain.trainers import cnn, mlp
from subtrain.trainers.kit.many_models import minibatch_order


class Rows(torch.nn.Module):
    """Features in the order row, column, channel, as subtrain's dense layers have them."""

    def forward(self, maps):
        return maps.permute(0, 2, 3, 1).flatten(1)


def train(x, y, test, classes, work, masks, seeds, channels_last=False):
    """Logits [K, N, classes] on `test` of K models trained one after the other, as `work` says."""
    torch.set_num_threads(1)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    if work.channels:
        shape = cnn.network(x.shape, work.channels, 3, 2, work.widths, classes)
        x, test = (torch.from_numpy(a[:, None]).contiguous(memory_format=layout) for a in (x, test))
    else:
        shape = mlp.layer_sizes(x, work.widths, classes)
        x, test = torch.from_numpy(x), torch.from_numpy(test)
    y, logits = torch.from_numpy(y), []
    for mask, seed in zip(masks, seeds.tolist(), strict=True):
        net = convolutional(shape, seed).to(memory_format=layout) if work.channels else dense(shape, seed)
        descend(net, x, y, minibatch_order(np.flatnonzero(mask), seed, work.recipe.epochs), work.recipe)
        with torch.no_grad():
            logits.append(net(test).numpy())
    return np.stack(logits)


def dense(sizes, seed):
    return torch.nn.Sequential(*_dense_layers(sizes, mlp.initial_parameters(sizes, seed)))


def convolutional(net, seed):
    parameters = cnn.initial_parameters(net, seed)
    layers, at = [], 0
    for inputs, outputs in net.blocks[:, :2].tolist():
        layer = torch.nn.Conv2d(inputs, outputs, net.kernel, padding=net.kernel // 2)
        count = outputs * inputs * net.kernel**2
        weight = torch.from_numpy(parameters[at : at + count].reshape(outputs, net.kernel, net.kernel, inputs))
        layer.weight.data.copy_(weight.permute(0, 3, 1, 2))
        layer.bias.data.copy_(torch.from_numpy(parameters[at + count : at + count + outputs]))
        at += count + outputs
        layers += [layer, torch.nn.ReLU(), torch.nn.MaxPool2d(net.pool)]
    return torch.nn.Sequential(*layers, Rows(), *_dense_layers(net.sizes, parameters[at:]))


def _dense_layers(sizes, parameters):
    layers, at = [], 0
    for inputs, outputs in pairwise(sizes.tolist()):
        linear = torch.nn.Linear(inputs, outputs)
        weight = torch.from_numpy(parameters[at : at + inputs * outputs].reshape(inputs, outputs))
        at += (inputs + 1) * outputs
        linear.weight.data.copy_(weight.T)
        linear.bias.data.copy_(torch.from_numpy(parameters[at - outputs : at]))
        layers += [linear, torch.nn.ReLU()]
    return layers[:-1]


def descend(net, x, y, order, recipe):
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
        fused=True,
    )
    loss = torch.nn.CrossEntropyLoss()
    rates = iter(recipe.rates(order.shape[1]).tolist())
    for epoch in torch.from_numpy(order.astype(np.int64)):
        for chosen in epoch.split(recipe.batch):
            optimizer.param_groups[0]["lr"] = next(rates)
            optimizer.zero_grad(set_to_none=True)
            loss(net(x[chosen]), y[chosen]).backward()
            optimizer.step()
