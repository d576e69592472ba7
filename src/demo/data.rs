//! The embedded week: events in delivery order and the planes, decoded once at the start.
//!
//! `data/README.md` says where they come from and what is derived. Events of one moment are put weather first, so
//! that a flight finds the weather of its hour. Everything here is fixed at build time, so a decode error is a defect
//! of the build and a test finds it; nothing panics all the same.

use crate::demo::model::Plane;
use serde::Deserialize;
use tailwater_log::Timestamp;

const EVENTS: &[u8] = include_bytes!("data/events-blizzard-week.jsonl.zst");
const PLANES: &[u8] = include_bytes!("data/planes.csv.zst");

/// Which topic an event belongs to, in the order in which events of one moment are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    Weather,
    Flights,
    FlightReports,
}

impl Source {
    pub(crate) const ALL: [Self; 3] = [Self::Weather, Self::Flights, Self::FlightReports];
}

/// One event as a source would have sent it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) source: Source,
    /// The flight; for weather the origin and the hour (see [`crate::demo::model::hour_key`]).
    pub(crate) key: String,
    /// When it could be known; the record's timestamp.
    pub(crate) delivered: Timestamp,
    /// A JSON object.
    pub(crate) value: String,
}

/// What a line of the file holds before its value, which is the last field.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "topic")]
    source: Source,
    key: String,
    #[serde(with = "super::model::iso")]
    delivered: Timestamp,
}

/// The week's events in the order in which they are loaded: by delivery, weather first.
pub(crate) fn events() -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    for (number, line) in (1..).zip(text(EVENTS, "events")?.lines()) {
        let event = event(line).map_err(|why| format!("embedded events, line {number}: {why}"))?;
        events.push(event);
    }
    // Stable: events of one source and moment stay in the file's order.
    events.sort_by_key(|e| (e.delivered, e.source));
    Ok(events)
}

/// `{"topic":…,"key":…,"delivered":…,"ts":…,"value":{…}}`, the value kept as it is written.
fn event(line: &str) -> Result<Event, String> {
    let (head, value) = line.split_once(r#","value":"#).ok_or("there is no value")?;
    let value = value.strip_suffix('}').ok_or("the line is cut")?;
    let Head { source, key, delivered } = serde_json::from_str(&format!("{head}}}")).map_err(|e| e.to_string())?;
    Ok(match source {
        Source::Weather => {
            let value = with_hour(value, delivered);
            Event { source, key: super::model::hour_key(&key, delivered), delivered, value }
        }
        Source::Flights | Source::FlightReports => Event { source, key, delivered, value: value.to_owned() },
    })
}

/// The weather record says for which hour it is, also without its key.
fn with_hour(value: &str, hour: Timestamp) -> String {
    format!(r#"{{"hour":"{hour}",{}"#, value.trim_start_matches('{'))
}

/// The planes by tail number, in the file's order.
pub(crate) fn planes() -> Result<Vec<Plane>, String> {
    let text = text(PLANES, "planes")?;
    csv::Reader::from_reader(text.as_bytes())
        .deserialize()
        .collect::<Result<Vec<Plane>, _>>()
        .map_err(|e| format!("embedded planes: {e}"))
}

fn text(compressed: &[u8], what: &str) -> Result<String, String> {
    let bytes = zstd::decode_all(compressed).map_err(|e| format!("embedded {what}: {e}"))?;
    String::from_utf8(bytes).map_err(|e| format!("embedded {what}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_week_is_complete_and_in_delivery_order() {
        let events = events().unwrap();
        let count = |source| events.iter().filter(|e| e.source == source).count();
        assert_eq!(Source::ALL.map(count), [504, 6_098, 5_107]);
        assert!(events.is_sorted_by_key(|e| (e.delivered, e.source)));
        assert_eq!(events[0].delivered.to_string(), "2013-02-06T05:00:00Z");
        assert_eq!(events[0].key, "EWR 2013-02-06T05");
        assert!(events[0].value.starts_with(r#"{"hour":"2013-02-06T05:00:00Z","origin":"EWR","temp":32.0,"#));
        assert_eq!(planes().unwrap().len(), 3_322);
    }

    #[test]
    fn every_value_decodes_as_its_topics_type() {
        use crate::demo::model::{Flight, LandingReport, Weather};
        use tailwater_log::Codec;
        for event in events().unwrap() {
            let bytes = event.value.as_bytes();
            let decoded = match event.source {
                Source::Weather => Weather::decode(bytes).map(|_| ()),
                Source::Flights => Flight::decode(bytes).map(|_| ()),
                Source::FlightReports => LandingReport::decode(bytes).map(|_| ()),
            };
            assert_eq!(decoded, Ok(()), "{}", event.value);
        }
    }
}
