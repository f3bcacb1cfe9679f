"""What a person sees while a run goes on."""

import io
import sys
import time

import pytest

from jaxgan.training.progress import Progress, Stopwatch, clock

METRICS = {"loss/net": 1.5, "loss/net/term": 1.0, "accuracy/net": 0.5}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_with_rate_and_remaining_time(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    progress = Progress(5, 10, batch_size=8)
    for step in range(6, 11):
        time.sleep(0.01)
        progress.advance()
        progress.report(step, "warmup", METRICS, seconds=0.5)
    progress.close()
    shown = sys.stderr.getvalue()
    assert "warmup: 100%" in shown and "10/10" in shown
    assert "16.0 images/s" in shown and "net 1.5" in shown
    assert "term" not in shown  # losses alone: a line is short
    assert "<00:0" in shown  # elapsed<remaining


def test_elsewhere_it_is_plain_lines(capsys):
    progress = Progress(5, 10, batch_size=8)
    progress.advance()
    progress.report(6, "warmup", METRICS, seconds=20.0)
    progress.say("a word")
    progress.close()
    found = capsys.readouterr()
    assert found.out.splitlines() == [
        "step 6/10  warmup  net 1.5  0.4 images/s  1:20 remaining",
        "a word",
    ]
    assert not found.err


def test_other_processes_are_silent(capsys):
    progress = Progress(0, 10, 8, shown=False)
    progress.advance()
    progress.report(1, "warmup", METRICS, seconds=1.0)
    progress.say("a word")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (83.0, "1:23"), (3723.0, "1:02:03")]
)
def test_times_read_as_clocks(seconds, text):
    assert clock(seconds) == text


def test_the_stopwatch_tells_steps_from_waiting(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    watch = Stopwatch()
    now[0] += 50.0
    watch.start()  # what came before is not counted
    for _ in range(4):
        now[0] += 2.0
        watch.step()
    watch.waited(1.0)
    assert watch.stop() == (2.0, 1.0 / 8.0)
    now[0] += 3.0
    watch.step()
    assert watch.stop() == (3.0, 0.0)
