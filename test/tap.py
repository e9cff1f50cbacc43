"""TAP for tests in Python: a promise a line, and what to look at where one is not kept.

Not a test itself.
"""
_count = 0
_failed = 0


def report(kept, promise, detail=""):
    """One promise, kept or not."""
    global _count, _failed
    _count += 1
    _failed += not kept
    print(f"{'' if kept else 'not '}ok {_count} - {promise}", flush=True)
    if not kept and detail != "":
        print("# " + str(detail)[:4000].replace("\n", "\n# "), flush=True)
    return kept


def skip(promise, why):
    global _count
    _count += 1
    print(f"ok {_count} - {promise} # SKIP {why}", flush=True)


def done():
    """Prints the plan; the exit status of the test."""
    print(f"1..{_count}", flush=True)
    return 1 if _failed else 0
