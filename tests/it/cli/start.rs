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
fn a_listener_that_asks_who_comes_may_be_open() {
    let tw = Tw::new();
    let err = tw.run(&["start", "--listen", "SASL_TLS://0.0.0.0:0"]).error("TW0211");
    assert!(err.contains("--tls-cert"), "{err}");
    tw.run(&["start", "--listen", "TLS://127.0.0.1:0", "--tls-cert", "nowhere", "--tls-key", "nowhere"])
        .error("TW0502");
    let file = tw.write("cert.pem", "not a certificate");
    let err =
        tw.run(&["start", "--listen", "TLS://127.0.0.1:0", "--tls-cert", &file, "--tls-key", &file]).error("TW0107");
    assert!(err.contains("certificate of the server"), "{err}");
    assert_eq!(tw.run(&["start", "--listen", "FTP://127.0.0.1:0"]).code, Some(2));

    tw.feed(&["user", "add", "alice"], "pencil\n").ok();
    let mut running = tw.start(&["start", "--listen", "SASL_PLAINTEXT://0.0.0.0:0", "--json"]);
    let open = address(&running.line()).replace("0.0.0.0", "127.0.0.1");
    let mut client = TcpStream::connect(open).unwrap();
    // Metadata in version 0 of all topics: nobody knows who asks.
    client.write_all(&[0, 0, 0, 14, 0, 3, 0, 0, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0]).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0);
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
    at(&["group", "reset", "readers", "greetings", "--to", "earliest", "--execute"]).ok();
    assert!(at(&["group", "list"]).ok().contains("readers"));
    at(&["group", "delete", "readers"]).ok();
    at(&["group", "describe", "readers"]).error("TW0109");
    at(&["doctor"]).error("TW0166");
    at(&["topic", "delete", "greetings", "--yes"]).ok();
    running.signal("TERM");
    assert_eq!(running.wait().0, Some(0));
    let err = at(&["topic", "list"]).error("TW0216");
    assert!(err.contains(&address), "{err}");
}

#[test]
fn what_is_counted_is_shown_where_it_is_asked_for() {
    let tw = Tw::new();
    let mut running = tw.start(&["start", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--json"]);
    let ready: Value = serde_json::from_str(&running.line()).unwrap();
    for (path, expected) in [("/health/ready", "ready"), ("/metrics", "tailwater_connections 0")] {
        let mut page = TcpStream::connect(ready["metrics"].as_str().unwrap()).unwrap();
        write!(page, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        page.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(expected), "{answer}");
    }
    running.signal("TERM");
    assert_eq!(running.wait().0, Some(0));
    let err = tw.run(&["start", "--listen", "127.0.0.1:0", "--metrics", "0.0.0.0:0"]).error("TW0210");
    assert!(err.contains("0.0.0.0:0"), "{err}");
}
