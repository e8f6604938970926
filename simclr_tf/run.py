"""The command: `python -m simclr_tf.run --flag=value ...`. Calls one workflow."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from absl import flags

from simclr_tf import config as config_lib
from simclr_tf import flag_definitions, compat, validation
from simclr_tf.errors import Preempted, UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status.

    Returns:
      0; 2 for bad input; 75 if another machine of the run is gone; 130 if stopped by hand; 143 if
      stopped by SIGTERM, with the state saved.
    """
    values = flags.FlagValues()
    groups = flag_definitions.define(values)
    try:
        extra = values(list(argv or sys.argv))[1:]
        if values["help"].value:
            print(flag_definitions.help_text(values, groups))
            return 0
        if extra:
            raise UserError(f"{extra[0]} is not a flag; flags are written --name=value")
        config = config_lib.from_flags(values)
        validation.check(config)
        compat.import_tensorflow()
        # TensorFlow is imported here, after parsing, so that --help and a flag error are immediate.
        from simclr_tf import workflows

        workflows.run(config)
    except Preempted as stop:
        print(f"\n{stop}", file=sys.stderr)
        return stop.status
    except (flags.Error, UserError) as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return getattr(error, "status", UserError.status)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    finally:
        # Ends pipelines that an error's traceback has kept: a thread of TensorFlow's that calls
        # Python while it shuts down would abort the process.
        gc.collect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
