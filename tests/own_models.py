"""Models as users bring them, of 8 x 8 grey images in ten classes; copied beside each test of a door as `own.py`."""

import torch
from torch import nn


def plain(classes: int = 10, channels: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, 32), nn.ReLU(), nn.Linear(32, classes))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = plain()

    def forward(self, x):
        return self.body(x)


class Answering(nn.Module):
    """The same net, whose answer is wrapped, or whose image is prepared."""

    def __init__(self, after=lambda logits: logits, before=lambda x: x, classes: int = 10) -> None:
        super().__init__()
        self.body, self.after, self.before = plain(classes), after, before

    def forward(self, x):
        return self.after(self.body(self.before(x)))


class Holder:
    def __init__(self, logits) -> None:
        self.logits = logits


def factory():
    return Net()


def function(x):
    return instance(x)


class Callable:
    def __call__(self, x):
        return instance(x)


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 10)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        if x.shape[-1] != 1:
            raise ValueError("images must be [B, H, W, 1]")
        return self.head(x.mean((1, 3)))


class Random(Answering):
    def forward(self, x):
        return self.body(x + 0.05 * torch.randn_like(x))


class Rounds(Answering):
    def forward(self, x):
        return self.body(self.step(x))

    def __init__(self) -> None:
        super().__init__()
        self.step = Rounding()


class Rounding(nn.Module):
    def forward(self, x):
        return (x * 7).round() / 7


class OneWay(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits):
        return logits.clone()


class Backfire(OneWay):
    @staticmethod
    def backward(ctx, grad):
        raise ValueError("no way back")


class Beside(Net):
    """Keeps more in its state than tensors, as quantised nets do."""

    def get_extra_state(self):
        return torch.qint8

    def set_extra_state(self, state): ...


class Fixed(nn.Module):
    """Takes batches of 20 alone, as an export without a dynamic batch does."""

    def __init__(self) -> None:
        super().__init__()
        self.body = plain()

    def forward(self, x):
        return self.body(x.view(20, 64))


instance = Net().eval()
sequential = plain()
training = Convolutional().train()
parallel = nn.DataParallel(Net())
double = Answering(lambda logits: logits.float(), lambda x: x.double()).double()
half = Answering(lambda logits: logits.float(), lambda x: x.bfloat16()).bfloat16()
as_dict = Answering(lambda logits: {"logits": logits, "features": logits})
as_object = Answering(Holder)
as_tuple = Answering(lambda logits: (logits, logits))
one_logit = Answering(lambda logits: logits[:, :1])
two_classes = Answering(classes=2)
thousand = Answering(classes=1000)
eleven = Answering(classes=11)
only_classes = Answering(lambda logits: logits.argmax(1))
probabilities = Answering(lambda logits: logits.softmax(1))
log_probabilities = Answering(lambda logits: logits.log_softmax(1))
backless = Answering(OneWay.apply)
backfires = Answering(Backfire.apply)
detached = Answering(lambda logits: logits.detach())
wants_bytes = Answering(before=lambda x: x / 255)
wants_signed = Answering(before=lambda x: (x + 1) / 2)
wants_normalised = Answering(before=lambda x: x * 0.3081 + 0.1307)
from_numpy = Answering(lambda logits: logits.detach().numpy())
hot = Answering(lambda logits: logits * 1e4)
colour = plain(channels=3)
