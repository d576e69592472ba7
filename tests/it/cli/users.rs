//! `tw user` and `tw acl`: from the first user to a broker that lets nobody else in.

use super::Tw;
use serde_json::Value;

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn users_are_added_listed_changed_and_removed() {
    let tw = Tw::new();
    tw.run(&["user", "list"]).error("TW0509");
    let told = tw.feed(&["user", "add", "alice", "--admin"], "pencil\n");
    assert!(told.err.contains("from now on") && !told.err.contains("tw acl add"), "{told:?}");
    told.ok();
    let told = tw.feed(&["user", "add", "bob"], "crayon");
    assert!(told.err.contains("tw acl add bob"), "{told:?}");
    told.ok();
    tw.feed(&["user", "add", "bob"], "other\n").error("TW0511");
    tw.feed(&["user", "passwd", "bob"], "other\n").ok();
    tw.feed(&["user", "passwd", "carol"], "other\n").error("TW0159");
    tw.run(&["user", "add", "carol"]).error("TW0512");
    tw.feed(&["user", "add", "carol"], &"x".repeat(2000)).error("TW0512");
    let users = json_lines(&tw.run(&["user", "list", "--json"]).ok());
    assert_eq!(users.iter().map(|user| &user["user"]).collect::<Vec<_>>(), ["alice", "bob"]);
    assert_eq!(users[0]["mechanisms"].as_array().unwrap().len(), 2);
    assert_eq!(json_lines(&tw.run(&["acl", "list", "alice", "--json"]).ok()).len(), 4);
    tw.run(&["user", "remove", "alice"]).ok();
    tw.run(&["user", "remove", "alice"]).error("TW0159");
    assert_eq!(tw.run(&["acl", "list", "--json"]).ok(), "");
    // What a directory holds is not the password.
    for entry in std::fs::read_dir(tw.path("data/meta")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"pencil"));
    }
}

#[test]
fn permissions_are_given_listed_and_taken_away() {
    let tw = Tw::new();
    tw.run(&["acl", "add", "alice", "read", "describe-configs", "--topic", "a", "--topic", "b", "--group", "g"]).ok();
    tw.run(&["acl", "add", "*", "write", "--topic", "logs-", "--prefix", "--deny", "--host", "10.0.0.1"]).ok();
    tw.run(&["acl", "add", "alice", "all"]).error("TW0107");
    assert_eq!(tw.run(&["acl", "add", "alice", "fly", "--cluster"]).code, Some(2));
    let all = json_lines(&tw.run(&["acl", "list", "--json"]).ok());
    assert_eq!(all.len(), 7);
    let denied = all.iter().find(|entry| entry["permission"] == "Deny").unwrap();
    assert_eq!((&denied["principal"], &denied["pattern_type"]), (&"User:*".into(), &"Prefixed".into()));
    assert_eq!(json_lines(&tw.run(&["acl", "list", "alice", "--topic", "a", "--json"]).ok()).len(), 2);
    assert_eq!(json_lines(&tw.run(&["acl", "remove", "alice", "read", "--json"]).ok()).len(), 3);
    assert_eq!(json_lines(&tw.run(&["acl", "remove", "alice", "--group", "g", "--json"]).ok()).len(), 1);
    assert_eq!(json_lines(&tw.run(&["acl", "list", "--json"]).ok()).len(), 3);
    let table = tw.run(&["acl", "list"]).ok();
    assert!(table.contains("logs-…") && table.contains("DescribeConfigs"), "{table}");
}
