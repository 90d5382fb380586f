"""The shape files and their grammar."""

import dataclasses

import pytest

from cnnfast.bench import problems
from cnnfast.bench.problems import GrammarError, Problem, parse, parse_line, select


def test_a_line_says_the_whole_layer() -> None:
    problem = parse_line("stem: conv2d h224 w200 c3 k64 r7 s5 stride2x1 pad3,2,1,0 dilation1x2  # a comment", "net")
    assert problem == Problem(
        "stem", "conv2d", h=224, w=200, c=3, k=64, r=7, s=5, stride=(2, 1), padding=((3, 2), (1, 0)),
        dilation=(1, 2), network="net", comment="a comment",
    )  # fmt: skip


def test_what_is_left_out() -> None:
    conv = parse_line("a: conv2d h8 c3 k4 r3")
    pool = parse_line("b: max_pool2d h8 c3 r2")
    depthwise = parse_line("c: depthwise_conv2d h8 c3 r3 mult2")
    whole = parse_line("d: global_avg_pool2d h7 w5 c3")
    assert conv
    assert (conv.w, conv.s, conv.n, conv.stride, conv.padding) == (8, 3, 1, (1, 1), ((0, 0), (0, 0)))
    assert pool
    assert (pool.stride, pool.k) == ((2, 2), 3)
    assert depthwise
    assert depthwise.k == 6
    assert whole
    assert (whole.kernel_size, whole.y_shape) == ((7, 5), (1, 1, 1, 3))


def test_empty_lines_and_comments_are_no_problem() -> None:
    assert parse_line("") is None
    assert parse_line("   # nothing but words") is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("conv2d h8 c3 k4 r3", "name: op"),
        ("a:", "name: op"),
        ("a: conv3d h8 c3 k4 r3", "op must be one of"),
        ("a: conv2d c3 k4 r3", "needs h"),
        ("a: conv2d h8 c3 r3", "needs k"),
        ("a: conv2d h8 c3 k4 r3 size3", "size3"),
        ("a: conv2d h8 c3 k4 r3 pad1.5", "pad1.5"),
        ("a: conv2d h8 c3 k4 r3 r5", "given twice"),
        ("a: conv2d h0 c3 k4 r3", "h must be >= 1, got 0"),
        ("a: conv2d h8 c3 k4 r3 stride0", "stride must be >= 1, got 0"),
        ("a: conv2d h8x8 c3 k4 r3", "fewer numbers"),
        ("a: conv2d h8 c3 k4 r3 groups2", "groups must divide"),
        ("a: max_pool2d h8 c3 k4 r3", "takes no k"),
        ("a: depthwise_conv2d h8 c3 r3 groups3", "takes no groups"),
    ],
)
def test_what_is_no_problem_is_refused_in_words(line: str, words: str) -> None:
    with pytest.raises(GrammarError, match=words.replace("(", r"\(")):
        parse_line(line)


def test_an_error_names_file_and_line() -> None:
    with pytest.raises(GrammarError, match="lenet, line 2: "):
        parse("a: conv2d h8 c3 k4 r3\nb: conv2d", "lenet")
    with pytest.raises(GrammarError, match="line 2: the name 'a' is taken"):
        parse("a: conv2d h8 c3 k4 r3\na: conv2d h9 c3 k4 r3")


@pytest.mark.parametrize("problem", problems.load(), ids=lambda problem: problem.name)
def test_every_shipped_line_can_be_written_and_read_again(problem: Problem) -> None:
    again = parse_line(problem.line, problem.network)
    assert again == dataclasses.replace(problem, comment="")
    assert min(problem.y_shape) >= 1
    assert problem.bytes > 0


def test_shipped_names_differ_and_some_are_quick() -> None:
    everything = problems.load()
    assert len({problem.name for problem in everything}) == len(everything)
    assert {"alexnet", "lenet", "resnet50", "vgg16", "mobilenet_v1", "mobilenet_v2"} <= {p.network for p in everything}
    assert 15 <= sum(problem.quick for problem in everything) <= 40


def test_flops_and_bytes() -> None:
    by_name = {problem.name: problem for problem in problems.load()}
    stem = by_name["rn50_conv1_7x7s2"]
    assert stem.y_shape == (1, 112, 112, 64)
    assert stem.flops == 2 * 112 * 112 * 64 * 7 * 7 * 3
    assert stem.bytes == 4 * (224 * 224 * 3 + 7 * 7 * 3 * 64 + 64 + 112 * 112 * 64)
    assert by_name["unet_up1_deconv2x2_1024_512"].flops == 2 * 28 * 28 * 4 * 1024 * 512
    assert by_name["mbv1_dw3x3s1_32_112"].flops == 2 * 112 * 112 * 32 * 9
    assert by_name["alex_c2_5x5g2"].flops == 2 * 27 * 27 * 256 * 25 * 48
    assert by_name["mbv1_block_128_128_56"].flops == 2 * 56 * 56 * 128 * (9 + 128)
    assert by_name["maxpool3x3s2_64_112"].flops == 0
    assert by_name["maxpool3x3s2_64_112"].bandwidth_bound
    assert by_name["mbv1_dw3x3s1_32_112"].bandwidth_bound
    assert not stem.bandwidth_bound


def test_cropping_keeps_the_layer_and_cuts_the_work() -> None:
    for problem in problems.load():
        small = problem.cropped(10_000_000)
        assert small.steps_of_work <= max(10_000_000, problem.steps_of_work // problem.n)
        assert dataclasses.replace(small, h=problem.h, w=problem.w, n=problem.n) == problem
        if problem.op != "global_avg_pool2d":
            assert (small.h % 2, small.w % 2) == (problem.h % 2, problem.w % 2) or small.h < 2 * problem.r


def test_select_matches_from_the_start_of_network_name_or_op() -> None:
    assert {problem.network for problem in select("lenet/")} == {"lenet"}
    assert {problem.network for problem in select("lenet")} == {"lenet", "batch16"}
    assert {problem.op for problem in select("depthwise")} == {"depthwise_conv2d"}
    assert [problem.name for problem in select("rn50_conv1_7x7s2$")] == ["rn50_conv1_7x7s2"]
    assert select() == problems.load()


@pytest.mark.parametrize("pattern", ["no such layer", "("])
def test_select_refuses_what_finds_nothing(pattern: str) -> None:
    with pytest.raises(ValueError, match="only must"):
        select(pattern)
