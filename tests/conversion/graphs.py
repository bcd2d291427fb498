"""Random graphs of everything that the converter maps."""

import keras
import numpy as np
from hypothesis import strategies as st
from keras import layers

from tests.conversion.sources import randomize

LARGEST = 300  # values of a sample


class Graph:
    """Draws a model piece by piece; `draw` is that of `st.data()`."""

    def __init__(self, draw, dtype="float64"):
        self.draw = draw
        self.dtype = dtype

    def one_of(self, *choices):
        return self.draw(st.sampled_from(choices))

    def some(self, low, high):
        return self.draw(st.integers(low, high))

    def apply(self, kind, x, **arguments):
        kind = getattr(layers, kind) if isinstance(kind, str) else kind
        return kind(dtype=self.dtype, **arguments)(x)

    def model(self):
        """Return a model with one or two inputs and outputs."""
        rank = self.one_of(1, 2, 2, 3)
        shape = (*(self.some(1, 6 if rank < 3 else 3) for _ in range(rank)), self.some(1, 4))
        inputs = [keras.Input(shape, dtype=self.dtype) for _ in range(self.one_of(1, 1, 1, 2))]
        tensors = [self.front(x) for x in inputs]
        x = tensors[0] if len(tensors) == 1 else self.one_of(self.join, self.concatenate)(*tensors)
        kinds = (
            self.fire, self.fire, self.pool, self.reshape, self.merge, self.normalize, self.rest, self.reuse,
            self.function, self.function,
        )  # fmt: skip
        for _ in range(self.some(1, 4)):
            x = self.one_of(*kinds)(x)
        outputs = self.head(x)
        model = keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs)
        return randomize(model, self.some(0, 2**16))

    def front(self, x):
        """What may stand at the input."""
        channels = x.shape[-1]
        kind = self.one_of(None, None, "Rescaling", "Normalization", "BatchNormalization")
        if kind == "Rescaling":
            return self.apply(kind, x, scale=1 / 0.7, offset=-0.4)
        if kind == "Normalization":
            numbers = np.linspace(0.2, 0.9, channels)
            return self.apply(kind, x, mean=numbers - 0.5, variance=numbers, invert=self.one_of(False, True))
        return x if kind is None else self.normalize(x)

    def normalize(self, x):
        return self.apply(
            "BatchNormalization", x, scale=self.one_of(True, True, False), center=self.one_of(True, True, False)
        )

    def rest(self, x):
        """What does nothing in inference."""
        kinds = {"Dropout": {"rate": 0.5}, "GaussianNoise": {"stddev": 0.5}, "ActivityRegularization": {"l2": 0.1}}
        if len(x.shape) == 4:
            kinds |= {"RandomFlip": {}, "SpatialDropout2D": {"rate": 0.5}}
        kind = self.one_of(*kinds)
        return self.apply(kind, x, **kinds[kind])

    def linear(self, x, activation=None):
        """Dense or a convolution of any kind."""
        rank, bias = len(x.shape) - 2, self.one_of(True, False)
        kinds = ["Dense", *(["Conv", "Conv", "ConvTranspose"] if rank else [])]
        kinds += ["DepthwiseConv", "SeparableConv"] if rank in (1, 2) else []
        kind = self.one_of(*kinds)
        common = {"activation": activation, "use_bias": bias}
        if kind == "Dense":
            return self.apply(kind, x, units=self.some(1, 4), **common)
        kernel = [self.some(1, 3) for _ in range(rank)]
        # TensorFlow has no dilation of a Conv3D or a transposed convolution, and no groups of a Conv3D, on a CPU.
        dilated = rank < 3 and kind != "ConvTranspose"
        spread = self.one_of("plain", "strides", *(["dilation_rate"] if dilated else []))
        step = 1 if spread == "plain" else self.some(1, 3)
        fits = all(size > (k - 1) * (step if spread == "dilation_rate" else 1)
                   for size, k in zip(x.shape[1:-1], kernel, strict=True))  # fmt: skip
        common |= {"kernel_size": kernel, "padding": self.one_of("same", *(["valid"] if fits else []))}
        common |= {} if spread == "plain" else {spread: step}
        channels = x.shape[-1]
        if kind == "Conv":
            groups = self.one_of(1, channels) if rank < 3 else 1
            common |= {"groups": groups, "filters": groups * self.some(1, 3)}
        elif kind == "DepthwiseConv":
            common |= {"depth_multiplier": self.some(1, 2)}
        elif kind == "SeparableConv":
            common |= {"depth_multiplier": self.some(1, 2), "filters": self.some(1, 4)}
        else:
            common |= {"filters": self.some(1, 3)}
        name = f"Conv{rank}DTranspose" if kind == "ConvTranspose" else f"{kind}{rank}D"
        return self.apply(name, x, **common)

    def fire(self, x):
        """A linear layer, or none, an activation in any spelling, or none, and batch norms around it."""
        if self.one_of(True, True, False):
            return self.norm_or_not(self.linear(x, "relu"))
        x = self.norm_or_not(self.linear(x) if self.one_of(True, True, True, False) else x)
        return self.norm_or_not(self.activation(x))

    def norm_or_not(self, x):
        return self.normalize(x) if self.one_of(False, True) else x

    def activation(self, x):
        kind = self.one_of("ReLU", "Activation", "ops", "ReLU6", "threshold", "slope", "LeakyReLU", "PReLU", "none")
        if kind == "ops":
            return keras.ops.relu(x)
        if kind == "PReLU":
            shared = self.one_of(None, list(range(1, len(x.shape) - 1)) or None)
            return self.apply(kind, x, shared_axes=shared)
        arguments = {
            "Activation": {"activation": "relu"}, "ReLU6": {"max_value": 6}, "threshold": {"threshold": 0.3},
            "slope": {"negative_slope": 0.1},
        }  # fmt: skip
        layer = {"ReLU6": "ReLU", "threshold": "ReLU", "slope": "ReLU"}.get(kind, kind)
        return x if kind == "none" else self.apply(layer, x, **arguments.get(kind, {}))

    def function(self, x):
        """A function of `keras.ops`, an operator, or a layer like one: moves, sums, ramps."""
        ops, last = keras.ops, x.shape[-1]
        constant = np.linspace(-0.5, 0.7, last)
        choices = {
            "slice": lambda: x[:, -1:], "ellipsis": lambda: x[..., : max(1, last - 1)],
            "flip": lambda: ops.flip(x, axis=1), "mean": lambda: ops.mean(x, axis=1, keepdims=True),
            "sum": lambda: ops.sum(x, axis=-1, keepdims=True), "negative": lambda: -x,
            "times": lambda: x * constant, "plus": lambda: 0.3 - x, "halved": lambda: (x + constant) / 2,
            "split": lambda: ops.concatenate(ops.split(x, [1], axis=-1)[::-1], axis=-1) if last > 1 else x,
            "stack": lambda: ops.squeeze(ops.stack([x], axis=1), 1),
            "transpose": lambda: ops.transpose(x, (0, *range(len(x.shape) - 1, 0, -1))),
            "clip": lambda: ops.clip(x, -0.2, 0.5), "hard_sigmoid": lambda: ops.hard_sigmoid(x),
            "hard_tanh": lambda: self.apply("Activation", x, activation="hard_tanh"), "abs": lambda: ops.abs(x),
            "shrink": lambda: ops.soft_shrink(x, 0.2), "relu6": lambda: ops.relu6(x),
            "maximum": lambda: ops.maximum(x, self.one_of(0, 0.1)), "minimum": lambda: ops.minimum(x, constant),
            "largest": lambda: self.apply("Maximum", [x, -x]), "smallest": lambda: ops.minimum(x, ops.flip(x, axis=1)),
            "relu": lambda: self.apply("ReLU", x, max_value=0.8, negative_slope=0.3, threshold=0.2),
        }  # fmt: skip
        return choices[self.one_of(*choices)]()

    def pool(self, x):
        rank = len(x.shape) - 2
        # TensorFlow pools volumes in float32 only.
        if rank not in (1, 2, *([3] if self.dtype == "float32" else [])):
            return x
        size = [self.some(1, 3) for _ in range(rank)]
        fits = all(n >= k for n, k in zip(x.shape[1:-1], size, strict=True))
        kind = self.one_of("Max", "Average")
        return self.apply(
            f"{kind}Pooling{rank}D", x, pool_size=size[0] if rank == 1 else size, strides=self.one_of(None, 1, 2),
            padding=self.one_of("same", *(["valid"] if fits else [])),
        )  # fmt: skip

    def reshape(self, x):
        """Move, pad, crop or repeat values."""
        shape, rank = x.shape[1:], len(x.shape) - 2
        kinds = ["Permute", "Reshape", "Flatten"]
        if rank in (1, 2, 3) and 3 * np.prod(shape) <= LARGEST:
            kinds += ["ZeroPadding", "UpSampling"]
        if rank in (1, 2, 3) and min(shape[:-1]) > 1:
            kinds += ["Cropping"]
        kind = self.one_of(*kinds)
        if kind == "Permute":
            return self.apply(kind, x, dims=self.draw(st.permutations(range(1, len(shape) + 1))))
        if kind == "Reshape":
            return self.apply(kind, x, target_shape=self.draw(st.permutations(shape)))
        if kind == "Flatten":
            return self.apply("Reshape", self.apply(kind, x), target_shape=shape)
        if kind == "UpSampling":
            size = [self.some(1, 2) for _ in range(rank)]
            return self.apply(f"{kind}{rank}D", x, size=size[0] if rank == 1 else size)
        sides = [
            (self.some(0, 1), 0) if kind == "Cropping" else (self.some(0, 1), self.some(0, 1)) for _ in range(rank)
        ]
        name = "cropping" if kind == "Cropping" else "padding"
        return self.apply(f"{kind}{rank}D", x, **{name: sides[0] if rank == 1 else sides})

    def beside(self, x):
        """A branch of the same shape."""
        kind = self.one_of("itself", "dense", "linear", "normalized")
        if kind == "itself":
            return x
        if kind == "normalized":
            return self.normalize(x)
        return self.apply("Dense", x, units=x.shape[-1], activation="relu" if kind == "dense" else None)

    def join(self, x, y):
        if x.shape != y.shape:
            return self.concatenate(x, y)
        kind = self.one_of("Add", "Subtract", "Average", "+", "-")
        if kind in "+-":
            return x + y if kind == "+" else x - y
        return self.apply(kind, [x, y])

    def concatenate(self, x, y):
        return self.apply("Concatenate", [x, y], axis=self.one_of(-1, 1))

    def merge(self, x):
        """A residual block, linear bottlenecks among them."""
        x, y = self.beside(x), self.beside(x)
        return self.one_of(self.join, self.join, self.concatenate)(x, y)

    def reuse(self, x):
        """A layer or a nested model that is called twice."""
        channels = x.shape[-1]
        if self.one_of(True, False):
            shared = layers.Dense(channels, activation="relu", dtype=self.dtype)
        else:
            stack = [layers.Dense(2, activation="relu", dtype=self.dtype),
                     layers.BatchNormalization(dtype=self.dtype),
                     layers.Dense(channels, dtype=self.dtype)]  # fmt: skip
            shared = keras.Sequential([keras.Input(x.shape[1:], dtype=self.dtype), *stack])
            if self.one_of(True, False):
                inner = keras.Input(x.shape[1:], dtype=self.dtype)
                shared = keras.Model(inner, shared(inner))
        return shared(shared(x))

    def head(self, x):
        kind = self.one_of("flat", "flat", "max", "average", "none", "two")
        rank = len(x.shape) - 2
        if kind == "none":
            return x
        if kind in ("max", "average") and rank in (1, 2, 3):
            flat = self.apply(f"Global{kind.title()}Pooling{rank}D", x)
        else:
            flat = self.apply("Flatten", x)
        logits = self.apply("Dense", flat, units=self.some(2, 4), activation=self.one_of(None, "softmax", "tanh"))
        return [logits, x] if kind == "two" else logits
