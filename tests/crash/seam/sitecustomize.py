"""Loaded by every Python process whose PYTHONPATH holds this folder: kills the process at the seam CRASH_SEAM names.

``CRASH_SEAM=module:qualified.name:before|after|stop:n`` sends SIGKILL to the process itself before or after the n-th
call of that function, or lets it stand still before it.
The function is wrapped when its module has been imported; the program under test knows nothing of it.
"""

import functools
import importlib.abc
import importlib.machinery
import os
import signal
import sys

if "CRASH_SEAM" in os.environ:
    MODULE, NAME, WHEN, NUMBER = os.environ["CRASH_SEAM"].split(":")

    def wrapped(function):
        calls = 0

        @functools.wraps(function)
        def at_seam(*args, **kwargs):
            nonlocal calls
            calls += 1
            last = calls == int(NUMBER)
            if last and WHEN == "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            if last and WHEN == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            value = function(*args, **kwargs)
            if last and WHEN == "after":
                os.kill(os.getpid(), signal.SIGKILL)
            return value

        return at_seam

    class Finder(importlib.abc.MetaPathFinder):
        """Lets the usual finders find the module and wraps the function right after its execution."""

        def find_spec(self, fullname, path, target=None):
            if fullname != MODULE:
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(fullname)
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                owner = module
                *path, name = NAME.split(".")
                for part in path:
                    owner = getattr(owner, part)
                setattr(owner, name, wrapped(getattr(owner, name)))

            spec.loader.exec_module = exec_module
            return spec

    import importlib.util

    sys.meta_path.insert(0, Finder())
