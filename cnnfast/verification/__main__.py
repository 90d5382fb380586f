"""Repeat one case of `cnnfast verify`: python -m cnnfast.verification --seed 0 --case 17"""

import argparse
import sys

from cnnfast.verification import Trial, draw


def main() -> int:
    """Print the case and everything that is wrong with it; 1 where something is."""
    parser = argparse.ArgumentParser(prog="python -m cnnfast.verification", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, required=True)
    arguments = parser.parse_args()
    case = draw(arguments.seed, arguments.case)
    print(case)
    trial = Trial(case).go()
    print(f"{trial.counts.total()} runs, {trial.promises.total()} pairs compared")
    print("\n".join(trial.failures) or "nothing wrong")
    return 1 if trial.failures else 0


if __name__ == "__main__":
    sys.exit(main())
