"""Runs tests of pymongo's own from the current folder, and prints how each ended, as JSON.

Arguments are what pytest takes; where the server is comes by DB_IP, DB_PORT, DB_USER, DB_PASSWORD.
"""

import contextlib
import json
import os
import sys

import pytest


class Outcomes:
    def __init__(self):
        self.all = {}

    def pytest_runtest_logreport(self, report):
        # A test that was called may fail when it is set up or torn down, too.
        if report.when == "call" or report.outcome != "passed":
            if self.all.get(report.nodeid) != "failed":
                self.all[report.nodeid] = report.outcome


sys.path.insert(0, os.getcwd())
outcomes = Outcomes()
arguments = ["-q", "-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider"]
with contextlib.redirect_stdout(sys.stderr):
    pytest.main(arguments + sys.argv[1:], plugins=[outcomes])
print(json.dumps(outcomes.all))
