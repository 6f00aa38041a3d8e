"""`python -m benchmarks [NAME ...]`: measures, and writes docs/benchmarks.md.

Without names it runs all but `ablation`, which changes only with the recipe.
"""

import argparse
import subprocess
import sys

DEFAULT = ("training", "service", "overload", "recipes", "distortions")
OTHERS = ("ablation",)


def main() -> int:
    """Run benchmarks one after another; return 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(DEFAULT + OTHERS)}", default=DEFAULT
    )
    failed = 0
    for name in parser.parse_args().names:
        if name not in DEFAULT + OTHERS:
            parser.error(f"expected one of {', '.join(DEFAULT + OTHERS)}, got {name}")
        print(f"== {name} ==", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", "--write"]
        failed |= subprocess.run(command, check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
