//! `tw start`, from its first line to its end.

use super::Tw;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

fn address(line: &str) -> String {
    let ready: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    ready["listening"][0].as_str().unwrap().to_owned()
}

#[test]
fn a_server_answers_until_it_is_asked_to_stop() {
    for signal in ["INT", "TERM"] {
        let tw = Tw::new();
        let mut running = tw.start(&["start", "--listen", "127.0.0.1:0", "--json"]);
        let mut client = TcpStream::connect(address(&running.line())).unwrap();
        // ApiVersions in version 0, correlation id 7, no client id.
        client.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]).unwrap();
        let mut answer = [0; 10];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer[4..], [0, 0, 0, 7, 0, 0]);
        running.signal(signal);
        let (code, err) = running.wait();
        assert_eq!(code, Some(0), "{err}");
        // The directory is free again.
        tw.run(&["topic", "list"]).ok();
    }
}

#[test]
fn what_keeps_a_server_from_starting_is_told() {
    let tw = Tw::new();
    let mut running = tw.start(&["start", "--listen", "127.0.0.1:0", "--json"]);
    let taken = address(&running.line());
    tw.run(&["start", "--listen", "127.0.0.1:0"]).error("TW0201");
    let other = Tw::new();
    let err = other.run(&["start", "--listen", &taken]).error("TW0209");
    assert!(err.contains("--listen"), "{err}");
    let err = other.run(&["start", "--listen", "0.0.0.0:0"]).error("TW0210");
    assert!(err.contains("--insecure-listen"), "{err}");
    running.signal("TERM");
    assert_eq!(running.wait().0, Some(0));
}

#[test]
fn commands_work_on_a_server() {
    let tw = Tw::new();
    let mut running = tw.start(&["start", "--listen", "127.0.0.1:0", "--json"]);
    let address = address(&running.line());
    let at = |args: &[&str]| tw.run(&[&["--connect", &*address], args].concat());
    at(&["topic", "create", "greetings", "-p", "2"]).ok();
    at(&["topic", "create", "greetings"]).error("TW0103");
    tw.feed(&["--connect", &address, "put", "greetings", "--partition", "1"], "hello\nthere\n").ok();
    assert_eq!(at(&["tail", "greetings", "--from", "earliest"]).ok(), "hello\nthere\n");
    assert!(at(&["topic", "list"]).ok().contains("greetings"));
    let described: Value = serde_json::from_str(at(&["--json", "topic", "describe", "greetings"]).ok().trim()).unwrap();
    assert_eq!(described["partitions"][1]["high_watermark"], 2, "{described}");
    at(&["tail", "nothing"]).error("TW0102");
    at(&["take", "greetings", "--group", "workers"]).error("TW0166");
    at(&["doctor"]).error("TW0166");
    at(&["topic", "delete", "greetings", "--yes"]).ok();
    running.signal("TERM");
    assert_eq!(running.wait().0, Some(0));
    let err = at(&["topic", "list"]).error("TW0216");
    assert!(err.contains(&address), "{err}");
}
