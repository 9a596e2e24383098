"""`make fuzz`: the readers are given whatever leads them into new branches, for ten minutes
(`make fuzz MINUTES=60`).

Any other error than the documented ones, a broken promise, or an input that takes longer than five
seconds ends it with status 1; the input is kept, and `python -m tests.fuzz FILE` gives it again.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

_LONGEST_SECONDS = 5
_BYTES_MAX = 4_096


def main() -> None:
    """Never returns: the fuzzer ends the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--corpus", type=Path, help="kept between runs; empty: thrown away")
    parser.add_argument(
        "files", nargs="*", type=Path, help="inputs to give once more, nothing else"
    )
    chosen = parser.parse_args()
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is missing: make fuzz installs it, on Linux on x86-64")
    with atheris.instrument_imports(include=["escrow", "tests.fuzz"]):
        from tests.fuzz import targets
    if chosen.files:
        for file in chosen.files:
            targets.one(file.read_bytes())
        return
    logging.disable(logging.CRITICAL)  # what readers log of bad entries, thousands of times
    corpus = chosen.corpus or Path(tempfile.mkdtemp(prefix="amana-fuzz-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets.seeds()):
        (corpus / f"seed-{number:03d}").write_bytes(seed)
    print(f"Inputs in {corpus}; one that fails is written beside this as crash-…", flush=True)
    options = [
        f"-max_total_time={chosen.minutes * 60}",
        f"-timeout={_LONGEST_SECONDS}",
        f"-max_len={_BYTES_MAX}",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], targets.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
