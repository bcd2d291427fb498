import pytest

from ttfs_keras.models.names import has_name


@pytest.mark.parametrize(
    ("model_name", "name"),
    [
        ("VGG_BN_example", "BN"),
        ("vgg_bn", "BN"),
        ("spike_count", "spike_count"),
        ("my_Spike_Count_2", "spike_count"),
        ("ResNet19", "RESNET19"),
    ],
)
def test_whole_parts_match_in_any_case(model_name, name):
    assert has_name(model_name, name)


@pytest.mark.parametrize(
    ("model_name", "name"),
    [
        ("FC2_SUBNET", "BN"),
        ("spike_counter", "spike_count"),
        ("spike_my_count", "spike_count"),
        ("count_spike", "spike_count"),
        ("ResNet190", "ResNet19"),
        ("", "BN"),
    ],
)
def test_pieces_of_parts_do_not(model_name, name):
    assert not has_name(model_name, name)
