"""Strikes an installation made by scripts/cluster and watches what Prometheus says of it. Started by scripts/drill.

The rules are those of the chart with shorter times: every duration is divided by one factor (SHORTER), so what is `for`
minutes there is seconds here, and so are the windows of increases. The expressions and their thresholds are the same, so an
alert that does not fire here would not fire there either.

Each fault gives verdicts: alerts that belong to it fired in time and were cleared in time, bookings went on, the service is
well again. At the end every promise has to have been kept. What was injured is healed however the drill ends.
"""

import contextlib
import dataclasses
import os
import signal
import sys
import tempfile
import time

from drill_faults import FAULTS
from drill_gws import Gws
from drill_house import ASKED_TO_END, CLUSTER_WITHIN, PROMETHEUS_WITHIN, SHORTER, Clients, Cluster, Prometheus, until

# How long after its fault an alert may fire, and after the service is well be cleared: the shortened times, scrapes each
# second, and what the service takes to notice (a probe each 15 s, twice) and to try again (circuits rest up to a minute).
FIRES_WITHIN = 90
CLEARS_WITHIN = 120
# The same for the service itself.
WELL_WITHIN = 120
# Alerts are cleared when none has fired for so long.
SETTLED = 5
# A callback that was being handed over when something died is asked after when a minute has gone by.
ENDS_WITHIN = 240
# Seconds that the drill takes at most, for what is the same whatever faults there are and for each of them.
BEGINS_WITHIN = CLUSTER_WITHIN + 3 * PROMETHEUS_WITHIN + WELL_WITHIN
FAULT_ENDS_WITHIN = WELL_WITHIN + FIRES_WITHIN + 2 * WELL_WITHIN + CLEARS_WITHIN + 60

# Told of, but not judged: a fault on a busy machine can raise them, and what is seen says nothing about the fault.
NOT_JUDGED = {
    **dict.fromkeys(["GES_CPU_USAGE", "GES_MEMORY_USAGE", "GES-NODE-JS-DELAY-WARNING"], "about the machine"),
    **dict.fromkeys(
        ["GES_SLO_BOOKING_FAST", "GES_SLO_BOOKING_SLOW", "GES_SLO_CALLED_BACK_FAST", "GES_SLO_CALLED_BACK_SLOW"],
        "about hours and days: clears when they have gone by"),
}


@dataclasses.dataclass
class House:
    """Everything that there is."""

    gws: Gws
    cluster: Cluster
    prometheus: Prometheus
    clients: Clients


@dataclasses.dataclass
class Line:
    """A verdict; `good` is none of what is not judged."""

    good: bool | None
    fault: str
    about: str
    what: str
    then: str = ""

    def told(self):
        mark = {True: "ok", False: "FAIL", None: "-"}[self.good]
        return f"{mark:<4} {self.fault:<11} {self.about:<36} {self.what:<18} {self.then}".rstrip()


class Watch:
    """Which alerts have fired since it began, and since when they are over."""

    def __init__(self, house, before):
        self.house = house
        self.before = before
        self.fired = {}
        self.over = {}
        self.judged_at = time.monotonic()

    def look(self):
        """Whether an alert is firing that is judged; none if that is not known just now."""
        firing = self.house.prometheus.firing()
        if firing is None:
            return None
        now = time.monotonic()
        for alert in firing - self.before:
            self.fired.setdefault(alert, now)
            self.over.pop(alert, None)
        for alert in self.fired.keys() - firing:
            self.over.setdefault(alert, now)
        judged = firing - self.before - NOT_JUDGED.keys()
        if judged:
            self.judged_at = now
        return bool(judged)

    def has_settled(self):
        return self.look() is False and time.monotonic() - self.judged_at >= SETTLED


def timed(what, seconds, look):
    """Seconds until `look` is true, or none."""
    try:
        return until(what, seconds, look)[1]
    except TimeoutError:
        return None


def is_in_time(seconds, limit):
    # One look takes place when the time is just over.
    return seconds is not None and seconds <= limit + 2


def told(seconds, limit):
    if seconds is None:
        return f"NOT in {limit} s"
    return f"in {max(0, seconds):.0f} s" + ("" if is_in_time(seconds, limit) else f", NOT in {limit} s")


@contextlib.contextmanager
def struck(fault, house):
    """The fault lasts as long as the block, and is healed however that ends."""
    try:
        fault.injury.strike(house)
        yield
    finally:
        try:
            fault.injury.heal(house)
        except SystemExit:
            # Asked to end in the middle of it. Nobody asks twice.
            fault.injury.heal(house)
            raise


def drill(name, house):
    """One fault from its beginning to its end; the lines of its verdict."""
    fault, clients = FAULTS[name], house.clients

    def is_calm():
        awake = house.prometheus.firing("firing|pending")
        return awake is not None and awake.isdisjoint(fault.alerts) and house.cluster.is_well()

    if timed("a well installation", WELL_WITHIN, is_calm) is None:
        return [Line(False, name, "before it", "not well", "or what has to fire fires already: not injected")]
    watch = Watch(house, house.prometheus.firing() or set())
    answered, refused, began = len(clients.promises), clients.refused, time.monotonic()

    def is_seen():
        watch.look()
        have_fired = all(alert in watch.fired for alert in fault.alerts)
        has_gone_on = len(clients.promises) > answered or not fault.bookings_go_on
        return have_fired and has_gone_on and time.monotonic() - began >= fault.lasts

    with struck(fault, house):
        print(f"-- {name}: injected", flush=True)
        timed("alerts", FIRES_WITHIN, is_seen)
        meanwhile = (len(clients.promises) - answered, clients.refused - refused)
    healed_at, answered = time.monotonic(), len(clients.promises)

    def is_well():
        watch.look()
        return house.cluster.is_well()

    def has_booked():
        watch.look()
        return len(clients.promises) > answered

    well = timed("a well installation", WELL_WITHIN, is_well)
    booked = timed("a booking", WELL_WITHIN, has_booked)
    timed("silence", CLEARS_WITHIN, watch.has_settled)
    service = Line(well is not None and booked is not None, name, "the service", "well " + told(well, WELL_WITHIN),
                   "booked " + told(booked, WELL_WITHIN))
    well_at = healed_at + (WELL_WITHIN if well is None else well)
    return [went_on(name, *meanwhile), service, *alerts(name, watch, began, well_at)]


def went_on(name, answered, refused):
    """Whether bookings were answered while the fault lasted."""
    what = f"{answered} answered, {refused} tries were not"
    if FAULTS[name].bookings_go_on:
        return Line(answered > 0, name, "bookings meanwhile", "went on" if answered else "stood still", what)
    return Line(True, name, "bookings meanwhile", "may stand still", what)


def alerts(name, watch, began, well_at):
    """A line for each alert: that it had to fire, that it did so as well, or that it is not judged."""
    wanted = FAULTS[name].alerts
    lines = [Line(None, name, alert, "fired before it", "not judged") for alert in sorted(watch.before)]
    for alert in [*wanted, *sorted(watch.fired.keys() - set(wanted))]:
        fired = watch.fired[alert] - began if alert in watch.fired else None
        over = watch.over[alert] - well_at if alert in watch.over else None
        cleared, then = is_in_time(over, CLEARS_WITHIN), "cleared " + told(over, CLEARS_WITHIN)
        if alert in wanted:
            good = is_in_time(fired, FIRES_WITHIN) and cleared
            lines.append(Line(good, name, alert, "fired " + told(fired, FIRES_WITHIN), then if fired is not None else ""))
        elif alert in NOT_JUDGED:
            lines.append(Line(None, name, alert, "fired beside it", NOT_JUDGED[alert]))
        else:
            lines.append(Line(cleared, name, alert, "fired beside it", then))
    return lines


def broken(house):
    """Promises that have not come in time to their end, which is a customer who was called and has talked to an agent; of
    those whose call the engine took with it, any end."""
    left = dict.fromkeys(house.clients.promises)
    deadline = time.monotonic() + ENDS_WITHIN
    while left and time.monotonic() < deadline:
        for callback in list(left):
            left[callback] = house.clients.state(callback)
            if house.clients.is_kept(callback, left[callback]):
                del left[callback]
            if time.monotonic() >= deadline:
                break
        time.sleep(1)
    return left


def promises(house):
    """The verdicts about everything that was promised."""
    made = house.clients.promises
    left = broken(house)
    first = list(left.items())[:5]
    dialled = house.cluster.dialled()
    not_once = [callback for callback in made if dialled.get(callback) != 1 and callback not in house.clients.broken_off]
    # Who was never told of a booking that was made may be called all the same.
    unpromised = len(dialled.keys() - made.keys())
    others = [callback for callback, (key, body) in made.items() if house.clients.booked(key, body) != callback]
    return [
        Line(not left, "promises", f"{len(made)} bookings were answered", "kept",
             f"{len(left)} promises are broken{f' {first}' if first else ''}; "
             f"{len(house.clients.broken_off)} calls ended with the engine"),
        Line(not not_once and unpromised <= house.clients.given_up, "promises", "by the journal of the engine",
             "called once", f"{len(not_once)} were not; {unpromised} calls had not been promised"),
        Line(not others, "promises", "asked again under the same key", "the same bookings", f"{len(others)} are not"),
    ]


def run(names, house):
    until("the first promise", PROMETHEUS_WITHIN, lambda: house.clients.promises)
    verdicts = []

    def say(lines):
        for line in lines:
            verdicts.append(line.good)
            print(line.told(), flush=True)

    for name in names:
        began = time.monotonic()
        lines = drill(name, house)
        took, load = time.monotonic() - began, os.getloadavg()[0]
        print(f"== {name}: {took:.0f} s, load {load:.1f} on {os.cpu_count()} processors", flush=True)
        say(lines)
    house.clients.stop()
    print("== promises", flush=True)
    say(promises(house))
    drilled = {alert for name in names for alert in FAULTS[name].alerts}
    left_alone = house.prometheus.alerts() - drilled
    print(f"alerts drilled: {len(drilled)}; evaluated and left alone: {len(left_alone)}")
    if not house.prometheus.every_rule_is_well():
        say([Line(False, "rules", "of the chart", "not well", "Prometheus cannot evaluate one of them")])
    return False not in verdicts


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


def ignore_whoever_asks_to_end():
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)


def end_in_order(limit):
    """Whoever asks the drill to end, or its own limit: what was injured is healed, and what was started is stopped."""

    def ended(number, _):
        ignore_whoever_asks_to_end()
        ASKED_TO_END.append(f"not done after {limit} s" if number == signal.SIGALRM else 128 + number)
        sys.exit(ASKED_TO_END[0])

    for each in ENDING:
        signal.signal(each, ended)
    signal.alarm(limit)


def main(names):
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        sys.exit(f"there is no fault {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    names = names or list(FAULTS)
    limit = BEGINS_WITHIN + len(names) * FAULT_ENDS_WITHIN + ENDS_WITHIN + 60
    print(f"{len(names)} faults, durations of rules divided by {SHORTER}; it ends within {limit // 60} minutes, "
          f"mostly in {2 + len(names)}", flush=True)
    end_in_order(limit)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ges-drill-"))
        # PostgreSQL runs as somebody else, who has to come through here.
        os.chmod(folder, 0o755)
        gws = Gws()
        stack.callback(gws.stop)
        cluster = Cluster(folder, gws.settings())
        stack.callback(cluster.stop)
        prometheus = Prometheus(folder, cluster)
        stack.callback(prometheus.stop)
        clients = Clients(cluster)
        clients.start()
        stack.callback(clients.stop)
        stack.callback(ignore_whoever_asks_to_end)
        good = run(names, House(gws, cluster, prometheus, clients))
    print(f"{'all is good' if good else 'something is NOT good'}, after {time.monotonic() - began:.0f} s")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (RuntimeError, TimeoutError) as error:
        print(f"the drill could not be done: {error}", file=sys.stderr)
        sys.exit(2)
