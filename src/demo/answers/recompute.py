#!/usr/bin/env python3
"""Recomputes the demo's final rows from the csv files alone, and writes them beside itself.

It shares nothing with the Rust code: not the event file, not the loader, not the job. Standard library only.

    recompute.py            writes delays-by-hour.csv, daily.csv, alerts.csv and late.csv
    recompute.py --check    compares with the files that are checked in; exits 1 on the first difference

The rules (see ../data/README.md):
  - a departed flight is known when it leaves, a cancelled one when it was scheduled to leave;
  - a landing report is known when the plane lands, but tells of the moment of departure;
  - a flight belongs to the hour of its departure (cancelled: of its scheduled departure) at its origin;
  - a landing report that arrives 6 hours or more after the end of that hour is late, and is not counted.
"""
import csv
import datetime as dt
import difflib
import gzip
import io
import pathlib
import sys
from collections import defaultdict
from zoneinfo import ZoneInfo

HERE = pathlib.Path(__file__).resolve().parent
NEW_YORK, PUERTO_RICO = ZoneInfo("America/New_York"), ZoneInfo("America/Puerto_Rico")
HOUR, LATENESS, ALERT_AT = dt.timedelta(hours=1), dt.timedelta(hours=6), 10


def rows(name):
    with gzip.open(HERE / "csv" / f"{name}.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))


def utc(text):  # "2013-02-07 03:00:00+00"
    return dt.datetime.fromisoformat(text.replace("+00", "+00:00"))


def iso(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def whole(text):
    return None if text in ("", "NA") else int(float(text))


def number(text):
    return None if text in ("", "NA") else round(float(text), 2)


def landing(departure, arr_time, zone):
    """The first moment after `departure` at which a clock in `zone` shows `arr_time` (HHMM, 2400 is midnight)."""
    hour, minute = divmod(arr_time, 100)
    day = departure.astimezone(zone).date()
    for days in range(3):
        local = dt.datetime.combine(day + dt.timedelta(days), dt.time(hour % 24, minute), zone)
        if local.astimezone(dt.timezone.utc) > departure:
            return local.astimezone(dt.timezone.utc)


def recompute():
    seats = {r["tailnum"]: int(r["seats"]) for r in rows("planes")}
    zones = {r["faa"]: r["tzone"] for r in rows("airports")}
    weather = {(r["origin"], utc(r["time_hour"])): r for r in rows("weather-blizzard-week")}

    hours = defaultdict(lambda: defaultdict(int))
    days = defaultdict(lambda: [0, 0])
    late = []
    for r in rows("flights-blizzard-week"):
        # `time_hour` is the scheduled hour in UTC; `minute` completes it.
        scheduled = utc(r["time_hour"]) + dt.timedelta(minutes=int(r["minute"]))
        flight = f"{r['carrier']}{r['flight']}-{r['year']}-{int(r['month']):02}-{int(r['day']):02}-{r['origin']}"
        day = days[scheduled.astimezone(NEW_YORK).date()]
        day[0] += 1
        delay = whole(r["dep_delay"])
        if whole(r["dep_time"]) is None:
            day[1] += 1
            hour = hours[r["origin"], scheduled.replace(minute=0)]
            hour["cancelled"] += 1
            hour["seats_cancelled"] += seats.get(r["tailnum"], 0)
            continue
        departure = scheduled + dt.timedelta(minutes=delay)
        start = departure.replace(minute=0)
        hour = hours[r["origin"], start]
        hour["departed"] += 1
        hour["dep_delay"] += delay
        if whole(r["arr_time"]) is None:
            continue
        zone = zones.get(r["dest"])
        zone = ZoneInfo(zone) if zone and zone not in ("NA", "\\N") else PUERTO_RICO
        delivered = landing(departure, whole(r["arr_time"]), zone)
        if delivered >= start + HOUR + LATENESS:
            late.append((flight, r["origin"], iso(start), iso(delivered)))
            continue
        hour["landed"] += 1
        if whole(r["arr_delay"]) is not None:
            hour["arrivals_timed"] += 1
            hour["arr_delay"] += whole(r["arr_delay"])

    table, alerts = [], []
    for (origin, start), h in sorted(hours.items()):
        sky = weather.get((origin, start))
        shown = [number(sky[k]) if sky else None for k in ("temp", "wind_speed", "precip", "visib")]
        average = lambda total, count: None if count == 0 else total / count
        table.append(
            [origin, iso(start), h["departed"], h["cancelled"], h["landed"],
             average(h["dep_delay"], h["departed"]), average(h["arr_delay"], h["arrivals_timed"]),
             h["seats_cancelled"], *shown])
        if h["cancelled"] >= ALERT_AT:
            alerts.append([origin, iso(start), ALERT_AT])
    return {
        "delays-by-hour": (
            "origin,hour,departed,cancelled,landed,avg_dep_delay,avg_arr_delay,seats_cancelled,"
            "temp,wind_speed,precip,visib", table),
        "daily": ("day,flights,cancelled", [[day, *counts] for day, counts in sorted(days.items())]),
        "alerts": ("origin,hour,cancelled", alerts),
        "late": ("flight,origin,hour,delivered", sorted(late)),
    }


def as_csv(header, table):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header.split(","))
    writer.writerows(table)  # None is an empty field; floats are written so that they read back the same
    return text.getvalue()


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    for name, (header, table) in recompute().items():
        path, found = HERE / f"{name}.csv", as_csv(header, table)
        if not check:
            path.write_text(found)
        elif path.read_text() != found:
            difference = difflib.unified_diff(
                path.read_text().splitlines(), found.splitlines(), "checked in", "recomputed", lineterm="", n=0)
            sys.exit(f"{path.name} is not what the csv files give:\n" + "\n".join(list(difference)[:8]))
        print(f"{path.name}: {len(table)} rows {'are the same' if check else 'written'}")


if __name__ == "__main__":
    main()
