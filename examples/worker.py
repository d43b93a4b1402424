#!/usr/bin/env python3
"""A worker in another language: Python 3, standard library only.

Claims steps of HyperShift runs that the service leaves to workers from outside, does them, and reports. Start the service
with ARCHITECT_AGENT_URL=work: so that it leaves the architect's step to us, then:

    python3 examples/worker.py --url http://127.0.0.1:3000 [--jobs 1]

RUNLEDGER_TOKEN holds a token with the scope `work`, where the service has tokens.
"""

import argparse
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request

KIND = "hypershift.architect"
LEASE_MS = 15_000
WAIT_MS = 20_000


class Lost(Exception):
    """The claim is lost: another worker has the job, or it is over. Stop, and report nothing more."""


class Service:
    def __init__(self, url, token):
        self.base = url.rstrip("/") + "/ledger/work/"
        self.headers = {"content-type": "application/json"}
        if token:
            self.headers["authorization"] = "Bearer " + token

    def post(self, path, body):
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, self.headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=WAIT_MS / 1000 + 30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 409:
                raise Lost() from error
            raise


class Heartbeat(threading.Thread):
    """Keeps a claim for as long as the work takes."""

    def __init__(self, service, claim):
        super().__init__(daemon=True)
        self.service, self.claim = service, claim
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(LEASE_MS / 3000):
            try:
                self.service.post("heartbeat", {"claim": self.claim, "leaseMs": LEASE_MS})
            except Lost:
                return
            except OSError as error:
                print(f"no heartbeat: {error}", file=sys.stderr)

    def __enter__(self):
        self.start()

    def __exit__(self, *_):
        self.over.set()


def plan(intent):
    """The work itself: an architect of few words."""
    words = intent["description"].split()
    return {"version": "1.0", "appPlan": {"name": "-".join(words[:3]).lower(), "words": len(words)}, "infra": {}}


def work(service, job):
    try:
        with Heartbeat(service, job["claim"]):
            output = plan(job["input"]["user_intent"])
        service.post("complete", {"claim": job["claim"], "output": output})
        print(f"{job['group']}: done, attempt {job['attempt']}", flush=True)
    except Lost:
        print(f"{job['group']}: somebody else has it", flush=True)
    except (KeyError, AttributeError, TypeError) as error:
        # It will not succeed the next time either.
        failure = {"claim": job["claim"], "error": f"No plan for this: {error}", "retry": False}
        service.post("fail", failure)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--url", default="http://127.0.0.1:3000")
    options.add_argument("--jobs", type=int, help="end after so many jobs (default: never)")
    given = options.parse_args()
    service = Service(given.url, os.environ.get("RUNLEDGER_TOKEN"))
    request = {"kinds": [KIND], "worker": f"python-{os.getpid()}", "leaseMs": LEASE_MS, "waitMs": WAIT_MS}
    done = 0
    while given.jobs is None or done < given.jobs:
        try:
            jobs = service.post("claim", request)["jobs"]
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                sys.exit(f"The service refuses: {error.read().decode()}")
            print(f"the service does not answer, trying again: {error}", file=sys.stderr)
            time.sleep(1)
            continue
        for job in jobs:
            work(service, job)
            done += 1


if __name__ == "__main__":
    main()
