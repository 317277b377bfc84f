"""tidy.py BUILD - clang-tidy over the programs' own C files, one a core; any warning fails.

Tests are left out: the sanitizers run them anyway, and the analyzer would take longer for them than
for everything else."""
import concurrent.futures
import json
import os
import subprocess
import sys


def tidy(build, path):
    run = subprocess.run(
        ["clang-tidy", "--quiet", "-p", build, path], capture_output=True, text=True, check=False)
    return path, run.returncode, run.stdout


def main():
    build = sys.argv[1]
    root = os.getcwd() + os.sep
    with open(os.path.join(build, "compile_commands.json")) as f:
        commands = json.load(f)
    files = sorted({os.path.normpath(os.path.join(c["directory"], c["file"])) for c in commands})
    ours = [f for f in files if f.startswith(root) and not f.startswith(os.path.abspath(build))
            and not f.startswith(root + "tests" + os.sep)]
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, status, text in pool.map(lambda f: tidy(build, f), ours):
            if status:
                bad += 1
                print(f"{os.path.relpath(path)}:\n{text}")
    print(f"clang-tidy: {len(ours)} files, {bad} with warnings", file=sys.stderr)
    return 1 if bad else 0


sys.exit(main())
