import csv

from experiments import four_ways


def test_every_way_has_a_row(tmp_path):
    settings = {
        "data_name": "DIGITS", "data_dir": None, "logging_dir": str(tmp_path), "seed": 0, "train_samples": 64,
        "test_samples": 32,
    }  # fmt: skip
    rows = four_ways.ways(settings, epochs=1, bats_epochs=1)
    by_way = {row["way"]: row for row in rows}
    assert list(by_way) == ["ReLU", "TTFS, mapped", "TTFS, fine-tuned", "STBP", "STBP, from ReLU", "BATS"]
    assert by_way["TTFS, mapped"]["accuracy"] == by_way["ReLU"]["accuracy"]
    assert float(by_way["TTFS, mapped"]["operations"]) < float(by_way["ReLU"]["operations"])
    assert not by_way["ReLU"]["spikes"] and all(row["spikes"] for way, row in by_way.items() if way != "ReLU")
    assert {way: row["network"] for way, row in by_way.items() if way in ("STBP", "BATS")} == {
        "STBP": "ResNet-9",
        "BATS": "784-800-10",
    }
    table = four_ways.table(rows).splitlines()
    assert len(table) == 2 + len(rows) and len(next(csv.reader([table[0]], delimiter="|"))) == 9
