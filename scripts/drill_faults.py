"""The faults of a drill: how each is injected and healed, which alerts it has to raise, and whether bookings go on meanwhile.

Healing is harmless where nothing was injured, so that it can be done whatever has happened before.
"""

import dataclasses
import signal
import threading
import uuid

from drill_house import ask


class Kill:
    """Kills a process, and starts it again as it was."""

    def __init__(self, name):
        self.name = name

    def strike(self, house):
        house.cluster.process(self.name).kill()

    def heal(self, house):
        if self.name in house.cluster.processes:
            house.cluster.process(self.name).start()


class KillEngine(Kill):
    """Kills the engine with the calls that it is making."""

    def __init__(self):
        super().__init__("ors")

    def strike(self, house):
        super().strike(house)
        house.clients.break_off()


class PauseDatabase:
    """Lets PostgreSQL stand still with every connection open, as a disk that hangs."""

    def strike(self, house):
        house.cluster.signal_database(signal.SIGSTOP)

    def heal(self, house):
        house.cluster.signal_database(signal.SIGCONT)


class Flood:
    """Sends requests that are refused, more of them than is tolerated, until it is healed."""

    THREADS = 4
    # 40 requests a second and thread at most: three times what is tolerated by two nodes in a shortened window.
    PAUSE = 0.025

    def __init__(self, *kinds):
        self.kinds = kinds
        self.stopped = threading.Event()
        self.threads = []

    def strike(self, house):
        self.stopped.clear()
        self.threads = [threading.Thread(target=self.flood, args=(house,), daemon=True) for _ in range(self.THREADS)]
        for thread in self.threads:
            thread.start()

    def flood(self, house):
        while not self.stopped.is_set():
            for kind in self.kinds:
                kind(house)
                self.stopped.wait(self.PAUSE)

    def heal(self, _):
        self.stopped.set()
        for thread in self.threads:
            thread.join(30)


def with_no_key(house):
    ask(f"{house.clients.url}/retrieve", {"id": str(uuid.uuid4())}, {"X-API-Key": "of-nobody-at-all"})


def for_nothing(house):
    ask(f"{house.clients.url}/retrieve", {"id": str(uuid.uuid4())}, house.clients.headers)


def with_a_mistake(house):
    ask(f"{house.clients.url}/create", {"serviceName": 7}, house.clients.headers)


class GwsIsGone:
    """Every connection to Genesys Web Services ends without a word."""

    def strike(self, house):
        house.gws.is_gone = True

    def heal(self, house):
        house.gws.is_gone = False


class GwsKnowsNobody:
    """Genesys Web Services refuse the service's own client, as after a change of its secret."""

    def strike(self, house):
        house.gws.knows_client = False

    def heal(self, house):
        house.gws.knows_client = True


@dataclasses.dataclass
class Fault:
    """One of the faults."""

    injury: object
    # Alerts that have to fire because of it.
    alerts: list
    # Whether bookings are answered while it lasts.
    bookings_go_on: bool = True
    # Seconds that it lasts at least.
    lasts: int = 0


FAULTS = {
    "node": Fault(Kill("node-1"), ["GES_UP"]),
    "redis": Fault(Kill("redis"), ["GES_REDIS_DOWN"]),
    "voice-redis": Fault(Kill("voice-redis"), ["GES_ORS_REDIS_DOWN", "GES_HEALTH"]),
    # Nothing depends on the engine but when a callback is made: nobody is paged for a moment without it.
    "engine": Fault(KillEngine(), [], lasts=20),
    "database": Fault(PauseDatabase(), ["GES_DB_DOWN", "GES_HEALTH"], bookings_go_on=False),
    "gws": Fault(GwsIsGone(), [
        "GES_GWS_AUTH_DOWN", "GES_GWS_ENVIRONMENT_DOWN", "GES_GWS_CONFIG_DOWN", "GES_GWS_SERVER_ERROR", "GES_HEALTH"]),
    "gws-client": Fault(GwsKnowsNobody(), ["GES_GWS_INCORRECT_CLIENT_CREDENTIALS", "GES_GWS_AUTH_DOWN"]),
    "strangers": Fault(Flood(with_no_key), ["GES_HTTP_401_POD", "GES_HTTP_401_TENANT"]),
    "mistakes": Fault(Flood(for_nothing, with_a_mistake), [
        "GES_HTTP_400_POD", "GES_HTTP_400_TENANT", "GES_HTTP_404_POD", "GES_HTTP_404_TENANT"]),
}
