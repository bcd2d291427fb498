import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ttfs_keras as tk
from tests.layer_harness import lead_times, run_layer_test

VARIANTS = {"default": {}, "same": {"padding": "same", "strides": 1}, "signed": {"signed": True, "padding": "same"}}


def earliest(lead, pool, stride, padding):
    """Return the largest lead time of each pool; TensorFlow pads less before than after."""
    sizes = lead.shape[1:3]
    if padding == "same":
        total = [max((-(-n // stride) - 1) * stride + pool - n, 0) for n in sizes]
        lead = np.pad(
            lead, [(0, 0), *((t // 2, t - t // 2) for t in total), (0, 0)], constant_values=-np.inf
        )  # fmt: skip
    patches = np.lib.stride_tricks.sliding_window_view(lead, (pool, pool), (1, 2))
    return patches[:, ::stride, ::stride].max((-2, -1))


@pytest.mark.parametrize("variant", VARIANTS)
def test_is_a_well_behaved_layer(variant, tmp_path):
    run_layer_test(
        lambda: tk.TTFSMaxPooling2D(dtype="float64", **VARIANTS[variant]), lead_times((3, 5, 4, 2)), tmp_path
    )


@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(3, 7), st.integers(3, 7)),
    pool=st.integers(1, 3),
    stride=st.integers(1, 3),
    padding=st.sampled_from(["valid", "same"]),
    signs=st.lists(st.sampled_from([-1.0, 1.0]), min_size=2, max_size=2),
    seed=st.integers(0, 99),
)
def test_positive_channels_pass_the_earliest_spike_and_negative_ones_the_latest(
    size, pool, stride, padding, signs, seed
):
    lead = lead_times((2, *size, 2), seed)
    plain = tk.TTFSMaxPooling2D(pool, stride, padding, dtype="float64")
    np.testing.assert_array_equal(plain(lead), earliest(lead, pool, stride, padding))
    signed = tk.TTFSMaxPooling2D(pool, stride, padding, signed=True, dtype="float64")
    signed.build(lead.shape)
    signed.sign.assign(signs)
    np.testing.assert_array_equal(signed(lead), signs * earliest(signs * lead, pool, stride, padding))


def test_signed_pooling_equals_the_pooling_of_scaled_inputs():
    lead = lead_times((2, 5, 5, 3), silent=0)
    scale = np.array([-2.0, 0.5, -0.1])
    layer = tk.TTFSMaxPooling2D(2, padding="same", signed=True, dtype="float64")
    layer.build(lead.shape)
    layer.sign.assign(np.sign(scale))
    expected = keras.layers.MaxPooling2D(2, padding="same", dtype="float64")(scale * lead)
    np.testing.assert_array_equal(scale * layer(lead).numpy(), expected)


def test_signs_are_weights_that_do_not_train():
    layer = tk.TTFSMaxPooling2D(signed=True)
    layer.build((None, 4, 4, 3))
    assert [variable.name for variable in layer.non_trainable_variables] == ["sign"]
    assert not layer.trainable_variables


def test_signed_pooling_of_channels_first_is_refused():
    with pytest.raises(ValueError, match="channels_last"):
        tk.TTFSMaxPooling2D(signed=True, data_format="channels_first")


@pytest.mark.parametrize("in_a_graph", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_nan_stays_in_its_sample(signed, in_a_graph):
    lead = lead_times((3, 4, 4, 2)).astype("float32")
    lead[1, 0, 3, 1] = np.nan
    snn = keras.Sequential([
        keras.Input((4, 4, 2)), tk.TTFSConv2D(3, 3, padding="same", bias_initializer="ones"),
        tk.TTFSMaxPooling2D(signed=signed), keras.layers.Flatten(), tk.TTFSReadout(2),
    ])  # fmt: skip
    # In a graph TensorFlow fuses a convolution with a ReLU, which loses NaN.
    outputs = snn.predict(lead, verbose=0) if in_a_graph else snn(lead).numpy()
    assert np.isnan(outputs).all(axis=1).tolist() == [False, True, False]
    assert np.isfinite(outputs[[0, 2]]).all()


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["MaxPooling", "GlobalMaxPooling"])
def test_nan_passes_pools_of_every_rank(rank, kind):
    lead = np.ones((2, *[4] * rank, 3), "float32")
    lead[0, ..., 0] = np.nan
    pooled = getattr(tk, f"TTFS{kind}{rank}D")()(lead).numpy()
    assert np.isnan(pooled[0]).all() and (pooled[1] == 1).all()
