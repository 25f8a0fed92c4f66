import copy

import pytest

from paperlora.errors import DataError
from paperlora.files import write_json
from paperlora.pipeline.report import compare

REPORT = {
    "train": {
        "seconds": 1.0,
        "tokens_per_second": 5.0,
        "peak_memory": {"host_bytes": 3},
        "steps": 4,
        "how": {"step": "plain", "setup_seconds": 1.0},
    },
    "environments": {"eval": {"observed": {"time": "now"}, "fingerprint": "f"}},
    "environment": {"observed": {"time": "now"}, "fingerprint": "f"},
    "eval": {"tuned": {"test": {"accuracy": 0.5}}},
}


def run(folder, report, adapter=b"adapter"):
    write_json(folder / "report.json", report)
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(adapter)
    return folder


def test_times_and_memory_may_differ(tmp_path):
    other = copy.deepcopy(REPORT)
    other["train"] |= {"seconds": 2.0, "tokens_per_second": 1.0, "peak_memory": {"host_bytes": 9}}
    other["train"]["how"]["setup_seconds"] = 2.0
    other |= {"run": "b", "run_argument": "path/to/b", "notes": ["made from other code"]}
    later = {"time": "later", "gpu": "x"}
    other["environment"]["observed"] = other["environments"]["eval"]["observed"] = later
    assert not compare.differences(run(tmp_path / "a", REPORT), run(tmp_path / "b", other))


def test_results_may_not(tmp_path):
    other = copy.deepcopy(REPORT)
    other["eval"]["tuned"]["test"]["accuracy"] = 0.6
    del other["environment"]["fingerprint"]
    other["environments"]["eval"]["fingerprint"] = "g"
    other["train"]["how"]["step"] = "stock"
    lines = compare.differences(run(tmp_path / "a", REPORT), run(tmp_path / "b", other, b"other"))
    assert [line.split(":")[0] for line in lines] == [
        "environment.fingerprint",
        "environments.eval.fingerprint",
        "eval.tuned.test.accuracy",
        "train.how.step",
        "adapter/adapter_model.safetensors",
    ]


def test_a_run_without_report_is_named(tmp_path):
    with pytest.raises(DataError, match=r"report\.json is missing"):
        compare.differences(tmp_path, tmp_path)
