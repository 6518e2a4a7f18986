"""Judges calendars by Python's zoneinfo, point by point, as the rules at the top of hours.rs are written.

Reads a request (JSON) from the file named on the command line and prints one line of JSON per zone:
{"zone", "changes": [[instant, offset before, offset after]], "days": [seconds of the date of each change],
 "open": [[[from, to], ...] for each change and picked calendar]}
"""

import datetime as dt
import json
import sys
import zoneinfo

UTC = dt.timezone.utc
EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)
DAY = dt.timedelta(days=1)
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def instant(seconds):
    return EPOCH + dt.timedelta(seconds=seconds)


def seconds(at):
    return int((at - EPOCH).total_seconds())


def offset(zone, second):
    return int(instant(second).astimezone(zone).utcoffset().total_seconds())


def wall(zone, second):
    return instant(second).astimezone(zone).replace(tzinfo=None)


def first_where(low, high, holds):
    """The first second after `low`, up to `high`, from which on it holds."""
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


def occurrence(zone, clock, last):
    """The instant at which a clock shows that time: the first, or the last; after a gap, the gap's end."""
    earlier, later = (seconds(clock.replace(tzinfo=zone, fold=fold).astimezone(UTC)) for fold in (0, 1))
    shown = [at for at in (earlier, later) if wall(zone, at) == clock]
    if shown:
        return max(shown) if last else min(shown)
    # In a gap the reading with the offset after it lies before the gap, the other one behind it.
    return first_where(min(earlier, later), max(earlier, later), lambda at: wall(zone, at) >= clock)


def minutes(text):
    return int(text[:2]) * 60 + int(text[3:])


def clock(date, minute):
    return dt.datetime.combine(date, dt.time()) + dt.timedelta(minutes=minute)


def span(zone, date, entry):
    """The interval of a range that starts on a date."""
    start = minutes(entry["from"])
    day, _, time = entry["to"].rpartition(" ")
    end = minutes(time)
    if day:
        end += (WEEKDAYS.index(day) - date.weekday()) % 7 * 1440
        if end <= start:
            end += 7 * 1440
    elif end <= start:
        end += 1440
    return occurrence(zone, clock(date, start), False), occurrence(zone, clock(date, end), True)


def holds(days, date):
    """Whether a date is one of those named: 2026-12-25, 12-25, and ranges of either with `..`."""
    if isinstance(days, list):
        return any(holds(one, date) for one in days)
    first, last = days.split("..") if ".." in days else (days, days)
    if len(first or last) == 5:
        today = date.strftime("%m-%d")
        return first <= today <= last if first <= last else today >= first or today <= last
    today = date.isoformat()
    return (not first or first <= today) and (not last or today <= last)


def inside(intervals, at):
    return any(start <= at < end for start, end in intervals)


class Calendar:
    """A calendar around a window; `named` are the documents of the calendars that it may draw on."""

    def __init__(self, document, named, window):
        self.always = document == "always"
        if self.always:
            return
        zone = self.zone = zoneinfo.ZoneInfo(document["zone"])
        day = wall(zone, window[0]).date() - 9 * DAY
        self.dates, self.week, self.opened, self.removed, self.replaced = [], [], [], [], set()
        exceptions = list(document.get("exceptions", []))
        for name in document.get("exceptionsOf", []):
            exceptions += named[name].get("exceptions", [])
        exceptions = [it for it in exceptions if it.get("enabled", True)]
        midnight = occurrence(zone, clock(day, 0), False)
        while midnight <= window[1] + 2 * 86400:
            following = occurrence(zone, clock(day + DAY, 0), False)
            self.dates.append((midnight, following, day))
            for entry in document.get("weekly", {}).get(WEEKDAYS[day.weekday()], []):
                self.week.append(span(zone, day, entry))
            for exception in (it for it in exceptions if holds(it["days"], day)):
                if "closed" in exception or "open" in exception:
                    self.replaced.add(day)
                self.opened += [span(zone, day, it) for it in exception.get("open", exception.get("add", []))]
                self.removed += [span(zone, day, it) for it in exception.get("remove", [])]
            midnight, day = following, day + DAY
        self.effective = document.get("effective", [])
        self.include = [Calendar(named[name], named, window) for name in document.get("include", [])]
        self.alternatives = [
            (it["days"], Calendar(named[it["calendar"]], named, window))
            for it in document.get("alternatives", [])
            if it.get("enabled", True)
        ]

    def others(self):
        return self.include + [other for _, other in self.alternatives]

    def edges(self):
        """Every instant at which anything may change."""
        if self.always:
            return set()
        own = {edge for one in self.week + self.opened + self.removed for edge in one}
        own |= {midnight for midnight, _, _ in self.dates}
        return own.union(*(other.edges() for other in self.others()))

    def is_open(self, at):
        if self.always:
            return True
        date = next(day for start, end, day in self.dates if start <= at < end)
        if self.effective and not holds(self.effective, date):
            return False
        if inside(self.removed, at):
            return False
        if inside(self.opened, at):
            return True
        if date in self.replaced:
            return False
        for days, other in self.alternatives:
            if holds(days, date):
                return other.is_open(at)
        return inside(self.week, at) or any(other.is_open(at) for other in self.include)


def open_in(document, named, window):
    calendar = Calendar(document, named, window)
    edges = sorted(edge for edge in calendar.edges() | set(window) if window[0] <= edge <= window[1])
    found = []
    for start, end in zip(edges, edges[1:]):
        if calendar.is_open(start):
            if found and found[-1][1] == start:
                found[-1][1] = end
            else:
                found.append([start, end])
    return found


def changes(zone, start, end):
    """Every instant from `start` up to `end` at which clocks change; two are never within six hours."""
    step, found, before = 6 * 3600, [], offset(zone, start)
    for second in range(start + step, end + 1, step):
        after = offset(zone, second)
        if after != before:
            at = first_where(second - step, second, lambda it: offset(zone, it) == after)
            found.append([at, before, after])
            before = after
    return found


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    count = 0
    for name in request["zones"]:
        zone = zoneinfo.ZoneInfo(name)
        found = changes(zone, request["from"], request["to"])
        placed = {key: it if it == "always" else {"zone": name, **it} for key, it in request["calendars"].items()}
        names, days, answers = list(placed), [], []
        for at, _, _ in found:
            date = wall(zone, at).date()
            midnight, following = (occurrence(zone, clock(day, 0), False) for day in (date, date + DAY))
            days.append([midnight, following])
            for pick in range(request["picks"]):
                document = placed[names[(count + pick) % len(names)]]
                answers.append(open_in(document, placed, (at - request["around"], at + request["around"])))
            count += 1
        print(json.dumps({"zone": name, "changes": found, "days": days, "open": answers}, separators=(",", ":")))


main()
