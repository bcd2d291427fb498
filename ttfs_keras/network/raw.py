"""Keras's private classes of operations: what functions of `keras.ops`, and `keras.applications`, leave in a graph."""

from keras.src.applications import convnext, inception_resnet_v2
from keras.src.ops import core, image, nn, numpy

RELU, RELU6, LEAKY_RELU, SIGMOID = nn.Relu, nn.Relu6, nn.LeakyRelu, nn.Sigmoid
HARD_SIGMOID, HARD_TANH, SOFT_SHRINK, HARD_SHRINK = nn.HardSigmoid, nn.HardTanh, nn.SoftShrink, nn.HardShrink
ABSOLUTE, CLIP = (numpy.Absolute, numpy.Abs), numpy.Clip
ADD, SUBTRACT, MULTIPLY, NEGATIVE = numpy.Add, numpy.Subtract, numpy.Multiply, numpy.Negative
DIVIDE, TRUE_DIVIDE, MATMUL = numpy.Divide, numpy.TrueDivide, numpy.Matmul
MAXIMUM, MINIMUM = numpy.Maximum, numpy.Minimum
CONCATENATE, PAD, RESIZE = numpy.Concatenate, numpy.Pad, image.Resize

# Every value of their outputs is one of the inputs' values, or 0.
MOVES = (
    numpy.BroadcastTo, numpy.Concatenate, numpy.Copy, numpy.Dstack, numpy.ExpandDims, numpy.Flip, numpy.GetItem,
    numpy.Hstack, numpy.Moveaxis, numpy.Pad, numpy.Ravel, numpy.Repeat, numpy.Reshape, numpy.Roll, numpy.Rot90,
    numpy.Split, numpy.Squeeze, numpy.Stack, numpy.Swapaxes, numpy.Take, numpy.Tile, numpy.Transpose, numpy.Vstack,
    core.Cast, core.Slice, core.StopGradient, core.Unstack, nn.DepthToSpace, nn.SpaceToDepth, image.CropImages,
    image.PadImages,
)  # fmt: skip
# Every value of their outputs is a sum of the inputs' values with fixed weights that are not negative.
SUMS = (numpy.Cumsum, numpy.Mean, numpy.Sum)

CUSTOM_SCALE, LAYER_SCALE = inception_resnet_v2.CustomScaleLayer, convnext.LayerScale
