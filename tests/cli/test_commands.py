"""The commands, as a user types them: each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnnfast
from cnnfast import cli


def run(*words: str, code: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = ["-P", "-c", code] if code else ["-P", "-m", "cnnfast"]  # the one under test, not the folder we are in
    path = os.pathsep.join(os.path.abspath(each) for each in sys.path)
    return subprocess.run(
        [sys.executable, *command, *words], capture_output=True, text=True, timeout=120, cwd=cwd,
        env=os.environ | {"PYTHONPATH": path, "CNNFAST_PEER_PYTHON": ""},
    )  # fmt: skip


def test_info_tells_versions_and_isa() -> None:
    done = run("info")
    assert done.returncode == 0
    assert cnnfast.__version__ in done.stdout
    for word in ("ISA", "threads", "CPU", "NumPy", "caches"):
        assert word in done.stdout


def test_a_reader_that_has_had_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-P", "-m", "cnnfast", "info"]
    path = os.pathsep.join(os.path.abspath(each) for each in sys.path)
    done = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}, text=True
    )
    os.close(write)
    assert done.stderr == ""


def test_version() -> None:
    assert run("--version").stdout == f"cnnfast {cnnfast.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        "conv2d 1x56x56x64 64 --kernel 3 --padding 1",
        "conv2d 1x56x56x64 64 --kernel 1x7 --padding 0x3 --groups 2 --activation relu",
        "conv2d 1x3x30x31 8 --layout NCHW --padding 0,1,0,1 --stride 2 --dtype float64",
        "conv2d 1x30x31x3 8 --dtype uint8 --padding same --algorithm plain",
        "conv2d 1x10x11x3 8 --algorithm tune",
        "depthwise_conv2d 1x28x28x32 --stride 2 --padding same --multiplier 2",
        "depthwise_conv2d 1x32x28x28 --layout NCHW --padding-mode reflect --padding 1",
        "separable_conv2d 1x28x28x32 64 --padding 1",
        "conv_transpose2d 1x28x28x32 16 --kernel 2 --stride 2",
        "conv_transpose2d 1x28x28x32 16 --stride 2 --output-padding 1 --groups 2",
        "rn50_conv1_7x7s2",
        "maxpool3x3s2_64_112",
        "gavgpool_2048_7",
        "gavgpool_2048_7 --algorithm tune",
    ],
)
def test_explain(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", *words.split()]) == 0
    shown = capsys.readouterr().out
    assert "algorithm" in shown
    assert "relative cost" in shown
    assert "* " in shown


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("", "required: COMMAND"),
        ("fly", "invalid choice: 'fly'"),
        ("bench --threads 0", "--threads: must be an integer >= 1, got '0'"),
        ("bench --threads two", "must be an integer >= 1, got 'two'"),
        ("bench --seconds 0", "must be a number of seconds > 0, got '0'"),
        ("bench --seconds nan", "must be a number of seconds > 0, got 'nan'"),
        ("bench --only no-such-layer", "only must match a layer"),
        ("bench --only [", "only must be a regular expression"),
        ("bench --only lenet --peers theano", "peers must be none or some of"),
        ("bench --only lenet --peer-python /no/such/python", "peer-python must be a Python interpreter"),
        ("bench --only lenet --out /proc/nowhere", "/proc/nowhere"),
        ("bench --redraw no-such.json", "no-such.json"),
        ("verify --cases 0", "must be an integer >= 1, got '0'"),
        ("verify --seed -1", "must be an integer >= 0, got '-1'"),
        ("tune --threads 0", "must be an integer >= 1, got '0'"),
        ("tune lenet_c1 --output /no/such/folder/file", "output must be in a folder that exists"),
        ("tune no_such_layer", "SHAPES must be a file, a problem, or the start of a layer"),
        ("explain", "required: op"),
        ("explain conv3d 1x8x8x3 4", "op must be one of"),
        ("explain conv2d", "input must be given"),
        ("explain no_such_layer", "op must be one of"),
        ("explain conv2d 1x8x8 4", "four numbers"),
        ("explain conv2d 1x8x8x3", "filters must be given"),
        ("explain conv2d 1x8x8x3 0", "must be an integer >= 1, got '0'"),
        ("explain depthwise_conv2d 1x8x8x3 4", "filters must not be given"),
        ("explain conv2d 1x8x8x3 4 --kernel 3x3x3", "as in 3x5"),
        ("explain conv2d 1x8x8x3 4 --padding 1,2,3", "top, bottom, left, right"),
        ("explain conv2d 1x8x8x3 4 --kernel 9", "9"),
        ("explain conv2d 1x8x8x3 4 --stride 0", "stride must be >= 1, got 0"),
        ("explain conv2d 1x8x8x3 4 --groups 0", "groups must be >= 1, got 0"),
        ("explain conv2d 1x8x8x3 4 --groups 2", "groups"),
        ("explain conv2d 1x8x8x3 4 --activation swishy", "swishy"),
        ("explain conv2d 1x8x8x3 4 --algorithm quantum", "quantum"),
        ("explain conv2d 1x0x8x3 4", "0"),
        ("explain conv2d 1x8x8x3 4 --kernel 0", "0"),
    ],
)
def test_bad_arguments_end_in_2_and_a_rule(words: str, rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = cli.main(words.split())
    except SystemExit as exit:
        code = exit.code
    shown = capsys.readouterr()
    assert code == 2
    assert rule in shown.err
    assert "Traceback" not in shown.err


def test_bad_arguments_leave_no_folder(tmp_path: Path) -> None:
    done = run("bench", "--only", "no-such-layer", cwd=tmp_path)
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_bench_measures_checks_and_reports(tmp_path: Path) -> None:
    words = "bench --quick --only lenet/ --peers none --seconds 9 --out"
    done = run(*words.split(), str(tmp_path / "new"))
    assert done.returncode == 0, done.stderr
    for word in ("FMA peak", "lenet_c1", "GFLOP/s", "0 out of bound", "bench.json"):
        assert word in done.stdout
    data = json.loads((tmp_path / "new" / "bench.json").read_text())
    measured = {each["name"] for each in data["layers"]}
    assert measured | set(data["left_out"]) == {"lenet_c1", "lenet_s2", "lenet_c3", "lenet_s4", "lenet_c5"}
    for layer in data["layers"]:
        assert layer["ours"][0]["chosen"]
        assert layer["ours"][0]["seconds"] > 0
        assert all(run["bound_share"] <= 1 for run in layer["ours"])
    limits = {(each["kind"], each["level"]) for each in data["limits"]}
    assert limits >= {("fma", ""), ("copy", "L2"), ("read", "memory")}
    assert data["choice"]["layers"] == len(data["layers"])
    again = run("bench", "--redraw", str(tmp_path / "new" / "bench.json"), "--out", str(tmp_path / "again"))
    assert again.returncode == 0, again.stderr
    assert (f"{data['choice']['within']} of {len(data['layers'])} layers" in again.stdout) == bool(data["layers"])
    assert json.loads((tmp_path / "again" / "bench.json").read_text())["layers"] == data["layers"]


def test_without_rich_tables_are_plain() -> None:
    code = (
        "import sys; sys.modules['rich'] = None\n"
        "from cnnfast.cli.console import Column, Console\n"
        "console = Console()\n"
        "console.table('title', [Column('name', 'left'), Column('ms')], [['a', '1.5'], ['long name', '12.25']])\n"
        "progress = console.progress(2)\n"
        "progress.now('nothing yet')\n"
        "progress.step('first')\n"
        "progress.close()\n"
    )
    done = run(code=code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "title", "name          ms", "---------  -----", "a            1.5", "long name  12.25"
    ]  # fmt: skip
    assert "[1/2 " in done.stderr


def test_with_rich_nothing_is_cut() -> None:
    pytest.importorskip("rich")
    code = (
        "from cnnfast.cli.console import Column, Console\n"
        "Console().table('', [Column('name', 'left')] * 12, [['a cell of a good length'] * 12])\n"
    )
    assert run(code=code).stdout.count("a cell of a good length") == 12


def test_verify_exits_by_what_it_finds(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", "--cases", "20", "--seed", "3"]) == 0
    assert capsys.readouterr().out


def test_tune_saves_what_load_tuning_takes(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("# two\none: conv2d h8 c4 k4 r3\ntwo: max_pool2d h8 c4 r2\n")
    words = ["mine.txt", "lenet_c3", "conv2d h5 c3 k2 r3", "--threads", "1", "--output", "tuning.json"]
    done = run("tune", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("one", "two", "lenet_c3", "problem", "wrote tuning.json: 5 results"):
        assert word in done.stdout
    assert cnnfast.load_tuning(tmp_path / "tuning.json") == 5


def test_summary() -> None:
    done = run("summary", "lenet5")
    assert done.returncode == 0
    assert "│ conv2d_1 (Conv2D)" in done.stdout
    assert "Total params: 61,706 (241.04 KB)" in done.stdout
    wrong = run("summary", "lenet6")
    assert wrong.returncode == 2
    assert "model must be one of lenet5, alexnet" in wrong.stderr


def test_summary_draws(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason='pip install "cnnfast[plot]"')
    assert run("summary", "lenet5", "--plot", str(tmp_path / "lenet5.png")).returncode == 0
    assert (tmp_path / "lenet5.png").read_bytes().startswith(b"\x89PNG")
