"""What the scripts that compare two checkouts share: where the other one is, and how a
benchmark of one is built. Each checkout is built for itself, in a target directory of its
own, since the library's interface may differ between them."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def target_of_this():
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


def other(name):
    """`(checkout, target directory)` of what the user named: a directory, or a commit of
    this repository, which is checked out below target/compare."""
    if Path(name).is_dir():
        checkout = Path(name).resolve()
        return checkout, checkout / "target"
    commit = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if not commit:
        sys.exit(f"{name} is neither a directory nor a commit")
    checkout = target_of_this() / "compare" / commit[:12]
    if not checkout.is_dir():
        git("worktree", "prune")
        git("worktree", "add", "--quiet", "--detach", str(checkout), commit)
    # One for all commits: they share what is not of this repository.
    return checkout, target_of_this() / "compare" / "target"


def git(*args):
    done = subprocess.run(["git", *args], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def described(checkout):
    """The commit of a checkout, with what was changed since."""
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=checkout,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() or "no commit"


def build(bench, checkout=ROOT, target=None):
    """The program of a bench target, built in that checkout."""
    command = ["cargo", "bench", "-p", "lwproc-benches", "--bench", bench, "--no-run",
               "--message-format=short"]
    env = dict(os.environ)
    if target:
        env["CARGO_TARGET_DIR"] = str(target)
    done = subprocess.run(command, cwd=checkout, env=env, stderr=subprocess.PIPE, text=True)
    found = re.search(r"Executable .*\((.*)\)", done.stderr)
    if done.returncode or not found:
        sys.exit(f"{checkout}:\n{done.stderr}")
    return os.path.join(checkout, found.group(1))
