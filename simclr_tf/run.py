"""The command: `python -m simclr_tf.run --flag=value ...`. Calls one workflow."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from absl import flags

from simclr_tf import compat, help_page, stopping, validation
from simclr_tf import config as config_lib
from simclr_tf.errors import UserError, print_error
from simclr_tf.terminal import ending_where_nobody_reads


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status.

    Returns:
      0; 2 for bad input; 70 if the run itself failed; 75 if another machine of the run is gone; 130
      if stopped by Ctrl-C and 143 by SIGTERM; 141 if nobody reads what it prints any more.
    """
    try:
        with ending_where_nobody_reads(), stopping.noticing_signals():
            return _main(list(argv or sys.argv))
    except BrokenPipeError:
        return 141
    finally:
        # Ends pipelines that an error's traceback has kept: a thread of TensorFlow's that calls
        # Python while it shuts down would abort the process.
        gc.collect()


def _main(argv: list[str]) -> int:
    try:
        if len(argv) == 1:
            raise help_page.HelpWanted(help_page.brief_page())
        config = config_lib.parse(argv[1:])
        validation.check(config)
        compat.import_tensorflow()
        # TensorFlow is imported here, after parsing, so that --help and a flag error are immediate.
        from simclr_tf import workflows

        workflows.run(config)
    except help_page.HelpWanted as page:
        print(page)
    except stopping.Stopped as stop:
        print(f"\n{stop}", file=sys.stderr)
        return stop.status
    except (flags.Error, UserError) as error:
        return print_error(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
