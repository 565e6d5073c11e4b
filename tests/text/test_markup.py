import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from komorebi_mcp.text.markup import fences, without_frames, without_markup

PYTHON = """Traceback (most recent call last):
  File "/app/worker.py", line 88, in run
    invoice = await self.queue.get(timeout=5)
                    ^^^^^^^^^^^^^^
  File "/app/queue.py", line 31, in get
    raise Empty(self.name)
app.Empty: invoices"""
JAVA = """java.lang.IllegalStateException: pool is closed
\tat com.example.Pool.take(Pool.java:44)
\tat java.base/java.lang.Thread.run(Thread.java:840)
\t... 12 more"""
NODE = """TypeError: x is not a function
    at Object.<anonymous> (/srv/app/index.js:12:7)
    at node:internal/main/run_main_module:23:47"""
GO = """panic: runtime error: index out of range [3]
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4a2b3c]

goroutine 34 [running]:
example.com/kiln/store.(*Store).Append(0x0, {0xc000122000, 0x40, 0x40})
\t/home/mei/kiln/store/store.go:73 +0x1c
created by main.main in goroutine 1
\t/home/mei/kiln/main.go:48 +0x1f4
exit status 2"""
ENOENT = """Error: ENOENT: no such file
    at Object.openSync (node:fs:601:3)
    at Object.<anonymous> (/srv/kiln/index.js:3:12) {
  errno: -2,
  code: 'ENOENT'
}"""
PANIC = """thread 'main' panicked at src/codec.rs:112:14:
called `Option::unwrap()` on a `None` value
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"""
RUSTC = """error[E0382]: borrow of moved value: `buf`
  --> src/codec.rs:58:22
   |
57 |     send(buf);
   |          --- value moved here
   = note: it does not implement Copy"""
PHP = """PHP Fatal error: Uncaught LogicException: no kiln
#0 /srv/app/index.php(12): fire()
#1 {main}"""
RUBY = """app.rb:4:in 'fire': no kiln (RuntimeError)
\tfrom app.rb:9:in '<main>'"""
GO_TEST = "--- FAIL: TestFire (0.03s)\n    store_test.go:91: want 1 event, got 2"
MAIL = """From: Mei Ito <mei@kiln.example>
To: all@kiln.example
Date: Tue, 17 Nov 2026 16:02:11 +0100
Subject: Cones for Friday
X-Mailer: a
\tb

Cone 6 is sold out."""
PIECES = [
    *("```\n", "~~~py\n", "---\n", "| a | b |\n", "|---|---|\n", "<p>", "</div>\n", "# Head\n", "![x](y)\n"),
    *(
        "Traceback (most recent call last):\n",
        '  File "a.py", line 1\n',
        "    x\n",
        "word ",
        ".\n",
        "é🎉\n",
        "\t",
    ),
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join) | st.text(max_size=200))
def test_what_is_left_stands_where_it_stood(text: str) -> None:
    left = without_markup(text)
    assert len(left) == len(text)
    assert all(now in (was, " ") for now, was in zip(left, text, strict=True))
    assert all(0 <= start <= end <= len(text) for start, end in fences(text))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("## Monday standup\n\nWe met.", "We met."),
        ("# We moved the office to Porto\n", "# We moved the office to Porto"),
        ("#12 is fixed", "#12 is fixed"),
        ("[![CI](https://a.example/ci.svg)](https://a.example) ![](b.png)\nA tool.", "A tool."),
        ("See [the page](https://a.example).", "See [the page](https://a.example)."),
        ('<div class="note">\n<p>It is <b>new</b>.</p>\n</div>', "It is <b>new</b>."),
        ("<alice> I moved it.", "<alice> I moved it."),
        ("| key | value |\n| --- | ---: |\n| port | 8417 |", "| port | 8417 |"),
        ("---\ntitle: Notes\ntags: [a]\n---\nWe met.", "We met."),
        ("Run this:\n```sh\nmake all\n```\nThen wait.", "Run this:\n\n\n\nThen wait."),
        ("Run this:\n```sh\nmake all", "Run this:\n```sh\nmake all"),
        (PYTHON, "app.Empty: invoices"),
        (JAVA, "java.lang.IllegalStateException: pool is closed"),
        (NODE, "TypeError: x is not a function"),
        (ENOENT, "Error: ENOENT: no such file"),
        (GO, "panic: runtime error: index out of range [3]"),
        (PANIC, PANIC.rpartition("\n")[0]),
        (RUSTC, RUSTC.partition("\n")[0]),
        (PHP, PHP.partition("\n")[0]),
        (RUBY, RUBY.partition("\n")[0]),
        (GO_TEST, GO_TEST),
        (MAIL, "Cones for Friday\n\n\n\nCone 6 is sold out."),
        ("From: here on it is easy.\nWe met.", "From: here on it is easy.\nWe met."),
        ("We met\n  at the market", "We met\n  at the market"),
    ],
)
def test_markup_and_frames_are_taken_out_and_what_people_wrote_stays(text: str, left: str) -> None:
    shown = "\n".join(line.rstrip() for line in without_markup(text).split("\n"))
    assert shown.strip() == left


def test_code_stands_between_its_fences() -> None:
    text = "Run this:\n```sh\nmake all\nmake test\n```\nor\n~~~\nmake\n~~~\n"
    assert [text[start:end] for start, end in fences(text)] == ["make all\nmake test\n", "make\n"]


def test_a_long_hostile_text_is_read_in_no_time() -> None:
    hostile = [
        "| " * 50_000,
        "<p" * 50_000,
        "`" * 100_000,
        "[![" * 30_000,
        "  at " * 20_000,
        "From: a\n" * 20_000,
        "x\n" + " " * 100_000 + ".go",
        "  --> a\n" + "  |\n" * 30_000,
        "---\n" * 25_000,
    ]
    assert all(len(without_markup(text)) == len(text) for text in hostile)
    assert without_frames("no frames") == "no frames"
