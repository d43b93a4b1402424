"""
Follows the events of a Runledger by Server-Sent Events, and prints each as one line of JSON: once, in the log's order,
through broken connections and restarts of either side. Needs nothing but Python 3:

    RUNLEDGER_TOKEN=… python3 examples/subscriber.py http://127.0.0.1:3000 state.json 'type=run.*'

The state file holds how far it has come. Without one, it begins with the first event of the log.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections import deque

# A server that sends nothing for so long, not even a heartbeat (there is one every 15 s), is gone.
SILENCE_S = 45
REMEMBERED = 1_000


class Subscriber:
    def __init__(self, origin, state_file, filters):
        self.url = f"{origin}/ledger/events/stream?{filters}"
        self.state_file = state_file
        self.retry_s = 1.0
        try:
            with open(state_file, encoding="utf-8") as file:
                state = json.load(file)
        except FileNotFoundError:
            state = {"lastEventId": "0", "handled": []}
        # Sent as Last-Event-ID, it goes on after it.
        self.last_event_id = state["lastEventId"]
        # The last events that were handled: one that comes again is known by its id.
        self.handled = deque(state["handled"], maxlen=REMEMBERED)

    def handle(self, event):
        """What is done with an event. When this fails, the event comes again."""
        print(json.dumps(event), flush=True)

    def run(self):
        while True:
            try:
                self.listen()
                log("the server has ended the stream")
            except urllib.error.HTTPError as error:
                log(f"{error.code} {error.read().decode()}")
                # What is refused now is refused again: only a server that cannot answer is worth another try.
                if error.code < 500:
                    sys.exit(1)
            except OSError as error:
                log(str(error))
            time.sleep(self.retry_s)

    def listen(self):
        headers = {"Accept": "text/event-stream", "Last-Event-ID": self.last_event_id}
        if "RUNLEDGER_TOKEN" in os.environ:
            headers["Authorization"] = "Bearer " + os.environ["RUNLEDGER_TOKEN"]
        request = urllib.request.Request(self.url, headers=headers)
        with urllib.request.urlopen(request, timeout=SILENCE_S) as response:
            block = []
            for line in response:
                text = line.decode().rstrip("\n")
                # A line that was cut off ends nothing: what belongs to it comes again.
                if not line.endswith(b"\n"):
                    return
                if text:
                    block.append(text)
                else:
                    self.take(block)
                    block = []

    def take(self, block):
        """A block is a message, or a heartbeat that carries nothing but how far one has come."""
        fields = {}
        for line in block:
            name, _, value = line.partition(": ")
            fields[name] = value
        if "retry" in fields:
            self.retry_s = int(fields["retry"]) / 1000
        if "data" in fields:
            event = json.loads(fields["data"])
            if event["id"] not in self.handled:
                self.handle(event)
                self.handled.append(event["id"])
        if "id" in fields and fields["id"] != self.last_event_id:
            self.last_event_id = fields["id"]
            self.save()

    def save(self):
        """First beside the file and then in its place: a crash leaves the old state or the new one."""
        with open(self.state_file + ".new", "w", encoding="utf-8") as file:
            json.dump({"lastEventId": self.last_event_id, "handled": list(self.handled)}, file)
        os.replace(self.state_file + ".new", self.state_file)


def log(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    arguments = dict(enumerate(sys.argv[1:]))
    Subscriber(
        arguments.get(0, "http://127.0.0.1:3000"),
        arguments.get(1, "subscriber.state.json"),
        arguments.get(2, ""),
    ).run()
