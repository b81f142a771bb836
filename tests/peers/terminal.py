#!/usr/bin/env python3
"""Runs a program at a terminal of its own and types one line when it is asked.

terminal.py QUESTION ANSWER PROGRAM [ARGUMENT...]

Prints everything that the terminal showed, and ends with the program's exit code.
"""
import os, pty, select, signal, sys, time

question, answer, program = sys.argv[1].encode(), sys.argv[2].encode() + b"\n", sys.argv[3:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(program[0], program)

shown, typed, end = b"", False, time.monotonic() + 60
while time.monotonic() < end:
    if not select.select([terminal], [], [], 1)[0]:
        continue
    try:
        part = os.read(terminal, 4096)
    except OSError:  # the program has closed its side
        break
    if not part:
        break
    shown += part
    if not typed and question in shown:
        os.write(terminal, answer)
        typed = True
else:
    os.kill(child, signal.SIGKILL)

_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(shown)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 99)
