//! Plans: what is accepted, how it is cut, and what is said about the rest.

use super::plan::Plan;
use crate::{Error, Topic, Topology, Tumbling, Windowed, hours, minutes};
use std::collections::BTreeMap;
use tailwater_log::TopicName;

const LINES: Topic<(), String> = Topic::new("lines");
const WORDS: Topic<String, String> = Topic::new("words");
const NAMES: Topic<String, String> = Topic::new("names");
const COUNTS: Topic<String, u64> = Topic::new("counts");
const HOURLY: Topic<Windowed<String>, u64> = Topic::new("hourly");

fn text(line: &str) -> String {
    line.to_owned()
}

#[test]
fn a_topology_describes_itself() {
    let described = Topology::describe(|t| {
        let names = t.table(NAMES, "names");
        let words = t.stream(LINES).flat_map_values(|line| vec![line]).key_by("by-word", |_, word| text(word));
        let (long, short) = words.branch(|_, word| word.len() > 10);
        long.left_join(&names, |word, name| format!("{word} {name:?}")).to(WORDS);
        let windows = short.group_by_key().window(Tumbling::of(hours(1)).lateness(minutes(5)));
        windows.late().to(WORDS);
        windows.count("hourly").to(HOURLY);
    });
    let expected = "\
sub-topology 0
    2  stream lines
    3  flat_map_values  from 2
    4  key_by \"by-word\" -> -app--by-word-repartition  from 3
       commits to -app--by-word-changelog
sub-topology 1
    0  read_table names
    1  table  from 0
    5  rekeyed -app--by-word-repartition
    6  branch  from 5
    7  left_join  from 6  reads the table of 1
    8  to words  from 7
    9  window  from 6 (second output)
   10  to words  from 9 (second output)
   11  count \"hourly\"  from 9
   12  to hourly  from 11
       commits to -app--hourly-changelog
";
    assert_eq!(described.unwrap(), expected);
}

fn why(build: impl Fn(&Topology)) -> String {
    match Plan::of("app", build).map(|_| ()) {
        Err(error @ Error::InvalidTopology { .. }) => {
            assert_eq!(error.code(), "TW0401");
            error.to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_work_is_refused_before_anything_runs() {
    let counted_twice = why(|t| {
        let words = t.stream(WORDS).group_by_key();
        words.count("n").to(COUNTS);
        words.count("n").to(COUNTS);
    });
    assert!(counted_twice.contains("two operators are called \"n\""), "{counted_twice}");
    let read_twice = why(|t| {
        t.stream(WORDS).to(NAMES);
        t.stream(WORDS).to(NAMES);
    });
    assert!(read_twice.contains("`words` is read twice"), "{read_twice}");
    let not_keyed = why(|t| drop(t.stream(WORDS).map(|k, v| (v, k)).group_by_key().count("n")));
    assert!(not_keyed.contains("count(\"n\") comes after a map that changed the key"), "{not_keyed}");
    let no_key = why(|t| drop(t.stream(LINES).group_by_key().count("n")));
    assert!(no_key.contains("needs keys and the stream has none"), "{no_key}");
    let misplaced = why(|t| drop(t.stream(WORDS).filter(|_, _| true).disorder(minutes(1))));
    assert!(misplaced.contains("call it right after t.stream(TOPIC)"), "{misplaced}");
    let cycle = why(|t| {
        let words = t.stream(WORDS);
        words.merge(&words.key_by("again", |k, _| k.clone())).to(NAMES);
    });
    assert!(cycle.contains("feeds back"), "{cycle}");
    assert!(why(|_| ()).contains("reads nothing"));
    assert!(
        matches!(Plan::of("app", |t| t.stream(WORDS).to(Topic::new("a/b"))), Err(Error::Log(e)) if e.code() == "TW0101")
    );
    assert!(matches!(Plan::of("", |t| t.stream(WORDS).to(NAMES)), Err(Error::Log(e)) if e.code() == "TW0108"));
}

#[test]
fn repartition_topics_take_the_partitions_of_what_they_are_read_with() {
    let plan = |build: fn(&Topology)| Plan::of("app", build).unwrap();
    let topics = |topics: &[(&str, u32)]| -> BTreeMap<TopicName, u32> {
        topics.iter().map(|(name, n)| (TopicName::new(name).unwrap(), *n)).collect()
    };
    let alone = plan(|t| drop(t.stream(LINES).key_by("k", |_, v| text(v)).group_by_key().count("n")));
    assert_eq!(alone.partitions(&topics(&[("lines", 3)])).unwrap(), [3, 3]);
    let joined = plan(|t| {
        let names = t.table(NAMES, "names");
        t.stream(LINES).key_by("k", |_, v| text(v)).join(&names, |a, _| a.clone()).to(WORDS);
    });
    assert_eq!(joined.partitions(&topics(&[("lines", 3), ("names", 8)])).unwrap(), [3, 8]);
    let unequal = plan(|t| t.stream(WORDS).merge(&t.stream(NAMES)).to(WORDS));
    let error = unequal.partitions(&topics(&[("words", 3), ("names", 8)])).unwrap_err();
    let message = "topics that are read together must have the same number of partitions: `words` has 3, `names` has 8";
    assert_eq!((error.code(), error.to_string().as_str()), ("TW0402", message));
    assert!(error.help().unwrap().contains("key_by"));
}
