"""Runs functions as tests and prints a line for each: `PASS name`, or `FAIL name: reason`."""

import asyncio
import inspect
import sys
import time
import uuid


def unique(name):
    return f"{name}-{uuid.uuid4().hex[:8]}"


def main(cases):
    """`script HOST:PORT [name …]`: each case gets the address."""
    address, only = sys.argv[1], sys.argv[2:]
    failed = False
    for case in cases:
        name = case.__name__
        if only and name not in only:
            continue
        try:
            done = case(address)
            if inspect.isawaitable(done):
                asyncio.run(asyncio.wait_for(done, 60))
            print(f"PASS {name}", flush=True)
        except Exception as why:  # whatever a client raises is the result
            failed = True
            said = " ".join(str(why).split()) or "no message"
            print(f"FAIL {name}: {type(why).__name__}: {said}", flush=True)
    sys.exit(failed)


def eventually(holds, otherwise, seconds=15):
    """Brokers learn of a change of metadata a moment after it was answered."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, otherwise
        time.sleep(0.1)


def same(found, wanted):
    assert found == wanted, f"wanted {wanted!r:.70}, got {found!r:.70}"
