"""The processes the engines live in: one each, stopped while it is another's turn.

Several engines keep their threads spinning for tens of milliseconds after a call; on the cores of the next one that
would double its time. A stopped process spins nowhere.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WORKER = Path(__file__).parent / "peers" / "worker.py"
START_S, ANSWER_S = 90.0, 45.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CNNFAST_NUM_THREADS")
# Freed memory stays in the process, for engines that allocate every output anew: page faults are not what we measure.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_TOP_PAD_": str(2**26)}

Answer = dict[str, Any]


class EngineError(RuntimeError):
    """The engine failed, died or did not answer. `unsupported` where it said that it cannot do the problem."""

    def __init__(self, message: str, unsupported: bool = False) -> None:
        super().__init__(message)
        self.unsupported = unsupported


def environment(threads: int, python: str) -> dict[str, str]:
    """What every engine's process gets: equal threads and quiet libraries; in this interpreter also the paths that this
    process imports from, so that it measures this very cnnfast."""
    paths = [os.path.abspath(path) for path in sys.path] if python == sys.executable else []
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "GLOG_minloglevel": "3", "PYTHONWARNINGS": "ignore"}
    numbers = {name: str(threads) for name in THREAD_VARIABLES}
    return dict(os.environ) | KEEP_MEMORY | quiet | numbers | {"CNNFAST_BENCH_PATH": os.pathsep.join(paths)}


class Worker:
    """One engine's process. It starts at once; `greet` waits until the engine is loaded."""

    def __init__(self, name: str, threads: int, python: str = sys.executable) -> None:
        self.name, self.threads, self.python = name, threads, python
        self.version = self._gone = ""
        self._prepared: list[dict[str, Any]] = []
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in close)
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.python, "-P", str(WORKER), self.name, str(self.threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment(self.threads, self.python),
            text=True, bufsize=1,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def greet(self) -> None:
        """Wait for the engine to load.

        Raises:
            EngineError: it cannot be loaded here.
        """
        self.version = self._receive(START_S)["version"]
        self._signal("SIGSTOP")

    def ask(self, command: str, timeout: float = ANSWER_S, **request: Any) -> Answer:
        """Let the engine run for one request. After a death or a silence it is started afresh, and what it had prepared
        before that request is prepared again.

        Raises:
            EngineError: with the engine's own words, or how it ended.
        """
        if self._gone:
            raise EngineError(self._gone)
        try:
            answer = self._exchange({"command": command, **request}, timeout)
        except OSError as error:
            message = self._last_words(error)
            self._restart()
            raise EngineError(message) from error
        if command == "prepare":
            self._prepared.append(request)
        elif command == "release":
            self._prepared.clear()
        return answer

    def _exchange(self, request: dict[str, Any], timeout: float) -> Answer:
        """Wake the process, ask, and stop it again once it has answered."""
        stdin = self._process.stdin
        assert stdin is not None
        self._signal("SIGCONT")
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        try:
            return self._receive(timeout)
        finally:
            self._signal("SIGSTOP")

    def _restart(self) -> None:
        """A fresh process; an engine that does not come back stays away, and every request says so."""
        self._kill()
        self._log.seek(0)
        self._log.truncate()
        self._process = self._start()
        try:
            self.greet()
            for request in self._prepared:
                self._exchange({"command": "prepare", **request}, ANSWER_S)
        except (EngineError, OSError) as error:
            self._kill()
            self._gone = f"did not start again: {error}"

    def _receive(self, timeout: float) -> Answer:
        stdout = self._process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], timeout)[0]:
            raise TimeoutError(f"no answer in {timeout:.0f} s")
        line = stdout.readline()
        if not line:
            raise OSError("it ended")
        answer: Answer = json.loads(line)
        if "error" in answer:
            raise EngineError(answer["error"], bool(answer.get("unsupported")))
        return answer

    def _last_words(self, error: Exception) -> str:
        """How the process ended, and the last line it wrote to stderr."""
        if isinstance(error, TimeoutError):
            return str(error)
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "closed its channel"
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f"ended with {how}" + (f": {lines[-1][:200]}" if lines else "")

    def _signal(self, name: str) -> None:
        number: Mapping[str, int] = signal.__dict__
        if name in number and self._process.poll() is None:  # Windows has neither
            self._process.send_signal(number[name])

    def _kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def close(self) -> None:
        self._kill()
        self._log.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
