"""Scripts that try something in a process of their own, such as on two devices, and report it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def report_of(test_file: str, script: str, *arguments: str, timeout: float = 300) -> Any:
    """Runs a script that lies beside a test and returns what it prints last, a line of JSON.

    Args:
      test_file: `__file__` of the test.
      script: its name.
      *arguments: of the script.
      timeout: seconds that it may take.
    """
    child = subprocess.run(
        [sys.executable, str(Path(test_file).with_name(script)), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-3000:]
    return json.loads(child.stdout.splitlines()[-1])
