"""What a drill strikes and what it watches with: the installation of scripts/cluster, a Prometheus with the chart's rules in
a hurry, and clients whose bookings are promises. Every wait has a limit.
"""

import glob
import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

from ports import free_port

RULES = "deploy/helm/ges/prometheus/alerts.yaml"
# By how much every duration of the rules is shortened, and what is left of it at least.
SHORTER = 20
SHORTEST_SECONDS = 3
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
# How long something may take to be there at the beginning.
CLUSTER_WITHIN = 120
PROMETHEUS_WITHIN = 60
# How long something may take to end; then it is killed.
PROCESS_ENDS_WITHIN = 30
CLUSTER_ENDS_WITHIN = 90
# One request, from its first byte to the last one of its answer.
ANSWER_WITHIN = 10
# Nothing is asked through a proxy: everything is on this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def shortened(rules):
    """The rules with every duration shortened: `for`, windows and offsets. Thresholds stay as they are."""

    def shorter(match):
        seconds = int(match["number"]) * UNITS[match["unit"]]
        return f"{match['before']}{max(SHORTEST_SECONDS, round(seconds / SHORTER))}s{match['after']}"

    for before, after in ((r"\[", r"\]"), (r"offset ", r"\b"), (r"for: ", r"\s")):
        pattern = rf"(?P<before>{before})(?P<number>\d+)(?P<unit>ms|[smhd])(?P<after>{after})"
        rules = re.sub(pattern, shorter, rules)
    return rules


# With which status, once somebody has asked. An exception that a signal raises can come to nothing, as in a destructor.
ASKED_TO_END = []


def until(what, seconds, look):
    """Waits until `look` gives something, and gives it back with the seconds that it took."""
    began = time.monotonic()
    while True:
        if ASKED_TO_END:
            raise SystemExit(ASKED_TO_END[0])
        found = look()
        if found:
            return found, time.monotonic() - began
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what} is not there after {seconds} s")
        time.sleep(0.25)


def ask(url, body=None, headers=None):
    """Status and text of an answer; none if there was no answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})})
    try:
        with OPENER.open(request, timeout=ANSWER_WITHIN) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except (OSError, http.client.HTTPException):
        return None


def asked(url, body=None, headers=None):
    """The JSON of an answer with status 200; none if there is no such answer."""
    answer = ask(url, body, headers)
    return json.loads(answer[1]) if answer and answer[0] == 200 else None


def end(process, seconds):
    """Asks a child to end, and sees to it that it does."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Process:
    """A process of the installation, which can be killed and started again as it was."""

    def __init__(self, cluster, name):
        self.log = os.path.join(cluster.folder, f"{name}.log")
        with open(os.path.join(cluster.folder, f"{name}.pid"), encoding="ascii") as file:
            self.pid = int(file.read())
        with open(f"/proc/{self.pid}/cmdline", "rb") as file:
            self.command = file.read().rstrip(b"\0").split(b"\0")
        settings = os.path.join(cluster.folder, name, "redis.conf")
        if os.path.exists(settings):
            # It writes where it listens over what it was called with.
            self.command = ["redis-server", settings]
        with open(f"/proc/{self.pid}/environ", "rb") as file:
            self.environment = dict(pair.split(b"=", 1) for pair in file.read().split(b"\0") if b"=" in pair)
        self.is_killed = False
        self.restarted = None

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.is_killed = True
        if self.restarted:
            self.restarted.wait()

    def start(self):
        """Nothing happens if it is there."""
        if not self.is_killed:
            return
        with open(self.log, "ab") as log:
            self.restarted = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        self.pid, self.is_killed = self.restarted.pid, False

    def stop(self):
        """What was started here is nobody else's to stop."""
        if self.restarted:
            end(self.restarted, PROCESS_ENDS_WITHIN)


class Cluster:
    """What scripts/cluster has started. In a session of its own: Ctrl-C is for whoever strikes it to hear."""

    def __init__(self, folder, settings):
        with open(os.path.join(folder, "settings"), "w", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in settings.items())
        environment = {
            **os.environ, "EXTERNAL_PORT": "0", "INTERNAL_PORT": "0", "TMPDIR": folder, "CLUSTER_SETTINGS": file.name}
        self.folder = None
        self.processes = {}
        self.output = open(os.path.join(folder, "cluster.log"), "w", encoding="utf-8")
        self.script = subprocess.Popen(
            ["scripts/cluster"], env=environment, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
            start_new_session=True)
        try:
            self.folder, _ = until("the cluster", CLUSTER_WITHIN, self.folder_told)
        except BaseException:
            self.stop()
            raise
        with open(os.path.join(self.folder, "addresses"), encoding="ascii") as file:
            self.ports = {f"{name}:{port}": here for name, port, here in (line.split() for line in file)}
        with open(os.path.join(self.folder, "secrets", "DEMO-API-KEY"), encoding="ascii") as file:
            self.key = file.read().strip()

    def folder_told(self):
        ended = self.script.poll() is not None
        with open(self.output.name, encoding="utf-8") as file:
            said = file.read()
        if ended:
            raise RuntimeError(said)
        told = re.search(r"everything else is: (\S+)", said)
        return told and told[1]

    def url(self, place):
        return f"http://127.0.0.1:{self.ports[place]}"

    def nodes(self):
        return [self.url(f"node-{node}:3050") for node in (1, 2)]

    def is_well(self):
        """Whether every node says that everything is up."""
        details = [asked(f"{node}/ges/v1/health/detail") for node in self.nodes()]
        return all(detail and detail["status"] == "UP" for detail in details)

    def process(self, name):
        if name not in self.processes:
            self.processes[name] = Process(self, name)
        return self.processes[name]

    def signal_database(self, number):
        """Reaches the server first, so that it begins no process meanwhile, and then every process of a connection."""
        with open(os.path.join(self.folder, "postgres", "data", "postmaster.pid"), encoding="ascii") as file:
            server = int(file.readline())
        os.kill(server, number)
        children = subprocess.run(["pgrep", "-P", str(server)], capture_output=True, text=True, check=False)
        for child in children.stdout.split():
            try:
                os.kill(int(child), number)
            except ProcessLookupError:
                # A connection that has just ended.
                pass

    def dialled(self):
        """How often the engine rang the customer of each callback, by its own journal."""
        (journal,) = glob.glob(os.path.join(self.folder, "ors", "*.journal"))
        times = {}
        with open(journal, encoding="utf-8") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                except ValueError:
                    # A kill can leave a torn line.
                    continue
                if entry["event"] == "dialled":
                    times[entry["callback"]] = times.get(entry["callback"], 0) + 1
        return times

    def stop(self):
        for process in self.processes.values():
            process.stop()
        if self.script.poll() is None:
            self.script.terminate()
        try:
            self.script.wait(CLUSTER_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.script.kill()
            self.kill_what_is_left()
        self.output.close()

    def kill_what_is_left(self):
        for path in glob.glob(os.path.join(self.folder or "/nowhere", "*.pid")):
            # Those that were struck were stopped before.
            if os.path.basename(path).removesuffix(".pid") not in self.processes:
                with open(path, encoding="ascii") as file:
                    subprocess.run(["kill", "-9", file.read().strip()], check=False)
        if self.folder:
            self.signal_database(signal.SIGKILL)


class Prometheus:
    """Debian's, with the chart's rules in a hurry."""

    def __init__(self, folder, cluster):
        with open(RULES, encoding="utf-8") as file:
            rules = shortened(file.read())
        with open(os.path.join(folder, "rules.yaml"), "w", encoding="utf-8") as file:
            file.write(rules)
        targets = [node.removeprefix("http://") for node in cluster.nodes()]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "ges", "static_configs": [{"targets": targets}]}],
        }
        path = os.path.join(folder, "prometheus.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.output = open(os.path.join(folder, "prometheus.log"), "w", encoding="utf-8")
        self.server = subprocess.Popen(
            ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address={self.url.removeprefix('http://')}"],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, start_new_session=True)
        try:
            until("Prometheus", PROMETHEUS_WITHIN, lambda: self.query("sum(up) == 2"))
            until("every rule", PROMETHEUS_WITHIN, self.every_rule_is_well)
        except BaseException:
            self.stop()
            raise

    def query(self, expression):
        """Samples; none if there is no answer, which says nothing."""
        answer = asked(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        return answer and answer["data"]["result"]

    def rules(self):
        answer = asked(f"{self.url}/api/v1/rules")
        return [rule for group in (answer["data"]["groups"] if answer else []) for rule in group["rules"]]

    def every_rule_is_well(self):
        """Each was evaluated without an error: an alert that cannot fire would look like one that need not."""
        rules = self.rules()
        return rules and all(rule["health"] == "ok" for rule in rules)

    def alerts(self):
        return {rule["name"] for rule in self.rules() if rule["type"] == "alerting"}

    def firing(self, states="firing"):
        """Names of alerts; none if that is not known just now."""
        found = self.query(f'ALERTS{{alertstate=~"{states}"}}')
        return None if found is None else {sample["metric"]["alertname"] for sample in found}

    def stop(self):
        end(self.server, PROCESS_ENDS_WITHIN)
        self.output.close()


class Clients(threading.Thread):
    """Books all the time; every booking that was answered is a promise."""

    # No faster than the simulated contact centre calls back.
    PAUSE = 5
    TRIES = 60

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.url = f"{cluster.url('balancer:2050')}/engagement/v3/callbacks"
        self.headers = {"X-API-Key": cluster.key}
        self.stopped = threading.Event()
        # Callback to the key and the body that it was booked with.
        self.promises = {}
        # Calls that the engine was making when it was killed end with it: such a callback has an end all the same, and may
        # be called again if its customer had not answered yet.
        self.broken_off = set()
        self.refused = 0
        self.given_up = 0

    def run(self):
        # Their last digits mean nothing to the simulated engine: they are answered.
        for number in itertools.cycle(range(2000, 10_000)):
            if self.stopped.is_set():
                return
            self.book(str(uuid.uuid4()), {"serviceName": "support", "phoneNumber": f"+1416555{number}"})
            self.stopped.wait(self.PAUSE)

    def book(self, key, body):
        for _ in range(self.TRIES):
            callback = self.booked(key, body)
            if callback:
                self.promises[callback] = (key, body)
                return
            self.refused += 1
            if self.stopped.wait(0.5):
                break
        # It may have been booked: then it is kept, and nobody was told.
        self.given_up += 1

    def booked(self, key, body):
        """The callback of that key; none if there is no answer that promises one."""
        answer = asked(f"{self.url}/create", body, {**self.headers, "Idempotency-Key": key})
        return answer and answer["data"]["id"]

    def state(self, callback):
        """How a callback stands, and why if it has ended."""
        answer = ask(f"{self.url}/retrieve", {"id": callback}, self.headers)
        if answer is None or answer[0] not in (200, 404):
            return "unknown"
        if answer[0] == 404:
            return "lost"
        data = json.loads(answer[1])["data"]
        return f"{data['callbackState']} {data.get('callbackReason') or ''}".strip()

    def break_off(self):
        """The engine has just died: nothing of what it had taken on ends any more by itself."""
        made = list(self.promises)
        self.broken_off.update(callback for callback in made if not self.state(callback).startswith("COMPLETED"))

    def is_kept(self, callback, state):
        return state == "COMPLETED AGENT_CONNECTED" or (
            callback in self.broken_off and state.startswith("COMPLETED"))

    def stop(self):
        self.stopped.set()
        self.join(2 * ANSWER_WITHIN)
