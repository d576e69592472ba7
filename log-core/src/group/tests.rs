//! Golden scripts of the group machine.

use super::*;
use uuid::Uuid;

/// Runs the commands of a script on a fresh machine. What is persisted is told to be stored by `stored`.
fn script(file: &str) {
    let mut groups = Groups::new(0);
    let mut now = Instant(0);
    let (mut persisted, mut position) = (Vec::new(), 0);
    crate::golden::check(file, |command| {
        let group = |name: &str| GroupId::new(name).unwrap();
        let number = |text: &str| text.parse().unwrap();
        let input = match command {
            ["at", seconds] => {
                now = Instant(0) + Duration::from_secs(number(seconds));
                Input::Tick
            }
            ["join", id, member, topics @ ..] => Input::Join {
                group: group(id),
                member: (*member != "new").then(|| (*member).to_owned()),
                topics: topics.iter().map(|t| topic(t)).collect(),
                session_timeout: Duration::from_secs(10),
            },
            ["beat", id, member, generation] => Input::Heartbeat {
                group: group(id),
                member: (*member).to_owned(),
                generation: number(generation) as u32,
            },
            ["leave", id, member] => Input::Leave { group: group(id), member: (*member).to_owned() },
            ["commit", id, member, generation, offsets @ ..] => Input::Commit {
                group: group(id),
                member: (*member != "-").then(|| ((*member).to_owned(), number(generation) as u32)),
                offsets: offsets.iter().map(|o| offset(o)).collect(),
                at: Timestamp(0),
            },
            ["delete", id] => Input::Delete { group: group(id) },
            ["stored"] => {
                position += 1;
                Input::Stored { record: persisted.remove(0), position: position - 1 }
            }
            ["stored-out-of-order"] => Input::Stored { record: persisted.remove(1), position: position + 1 },
            ["topic-deleted"] => Input::TopicDeleted { topic_id: TopicId(Uuid::nil()) },
            ["show", id] => {
                let Some(shown) = groups.group(&group(id)) else { return vec!["no such group".into()] };
                let members = shown.members.iter().map(|(id, m)| {
                    format!("  {id}:{}", m.assignment.iter().map(|tp| format!(" {tp}")).collect::<String>())
                });
                let offsets = shown.offsets.iter().map(|(tp, c)| format!("  {tp} at {}", c.offset));
                return [format!("g{}", shown.generation)].into_iter().chain(members).chain(offsets).collect();
            }
            other => panic!("no such command: {other:?}"),
        };
        let mut effects = Vec::new();
        groups.step(now, input, &mut effects);
        let text = effects.iter().map(ToString::to_string).collect();
        persisted.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::Persist(record) => Some(record),
            _ => None,
        }));
        text
    });
}

/// `lines×4`
fn topic(text: &str) -> (TopicName, PartitionIndex) {
    let (name, partitions) = text.split_once('×').unwrap();
    (TopicName::new(name).unwrap(), partitions.parse().unwrap())
}

/// `lines-0=7`
fn offset(text: &str) -> StoredOffset {
    let (partition, offset) = text.split_once('=').unwrap();
    let (name, index) = partition.rsplit_once('-').unwrap();
    let partition = TopicPartition::new(TopicName::new(name).unwrap(), index.parse().unwrap());
    StoredOffset { partition, topic_id: TopicId(Uuid::nil()), offset: offset.parse().unwrap() }
}

#[test]
fn members_come_and_go() {
    script("group/scripts/membership.txt");
}

#[test]
fn offsets_are_fenced_and_applied_in_log_order() {
    script("group/scripts/offsets.txt");
}
