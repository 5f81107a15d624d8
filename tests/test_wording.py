import pytest

from subtrain.formatting import clock, duration, plain, printable, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (8, "8 s"), (59.7, "1 min 0 s"), (200, "3 min 20 s"), (18_600, "5 h 10 min"), (187_200, "2 d 4 h")],
)
def test_a_clock_in_words(seconds, words):
    assert clock(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (3.21e-5, "32.1 µs"), (0.0123, "12.3 ms"), (1.26, "1.3 s"), (12, "12 s"), (200, "3 min 20 s")],
)
def test_a_short_duration_in_words(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (31_000_000, "31 MB"), (2.5e13, "25 TB")]
)
def test_bytes_in_words(count, words):
    assert size(count) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("λ chosen on …", "lambda chosen on ..."),
        ("α·n ≤ 3 µs → 2×", "alpha*n <= 3 us -> 2x"),
        ("Zoë", "Zoe"),
        ("✓ \udcff", "\\u2713 \\udcff"),
    ],
)
def test_text_that_an_ascii_output_can_show(text, words):
    assert plain(text) == words
    assert printable(text, "ascii") == words


def test_only_what_an_output_lacks_is_replaced():
    assert printable("Zoë × λ", "latin-1") == "Zoë × lambda"
    assert printable("Zoë × λ", "cp1252") == "Zoë × lambda"
    assert printable("Zoë × λ", "utf-8") == "Zoë × λ"
