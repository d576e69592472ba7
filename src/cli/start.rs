//! `tw start`: a broker that Kafka's clients use without noticing, until Ctrl-C or SIGTERM.
//!
//! It listens on this machine only unless it is told otherwise. When it is asked to stop it takes no more requests,
//! answers those it has, makes everything durable and exits 0.

use super::{Context, Result};
use std::net::SocketAddr;
use tailwater::log::env::raise_open_files;
use tailwater::log::{ListenerConfig, Server, ServerConfig};

/// A server with more memory than it says gets this part of it for requests.
const REQUESTS_SHARE: usize = 4;
/// And this much at least.
const REQUESTS_BYTES_MIN: usize = 64 * 1024 * 1024;

/// Arguments of `tw start`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tw start\n  tw start --listen 0.0.0.0:9092 --insecure-listen --advertise log.example:9092\n  \
                  tw start --set num.partitions=4"
)]
pub(crate) struct Args {
    /// Where to listen; may be given several times
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    listen: Vec<SocketAddr>,
    /// The address that clients are told [default: the one that each has connected to]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    advertise: Option<(String, u16)>,
    /// Listen beyond this machine although nobody has to authenticate
    #[arg(long)]
    insecure_listen: bool,
    /// The id that clients know the broker by
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    node_id: i32,
    /// A setting of the broker by Kafka's name; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

pub(crate) async fn run(args: Args, cx: &mut Context) -> Result<()> {
    let listener =
        |address| ListenerConfig { advertised: args.advertise.clone(), ..ListenerConfig::plaintext(address) };
    let mut config = ServerConfig {
        listeners: args.listen.iter().copied().map(listener).collect(),
        insecure_listen: args.insecure_listen,
        ..ServerConfig::default()
    };
    if let Some(files) = raise_open_files() {
        // The rest is for the log's own.
        let connections = usize::try_from(files).unwrap_or(usize::MAX) / 4 * 3;
        config.limits.connections_max = config.limits.connections_max.min(connections);
    }
    if let Some(bytes) = memory_bytes() {
        config.limits.in_flight_bytes_max = (bytes / REQUESTS_SHARE).max(REQUESTS_BYTES_MIN);
    }
    let node_id = ("node.id".to_owned(), args.node_id.to_string());
    let server = Server::open(&cx.data, config, [node_id].into_iter().chain(args.set)).await?;
    let addresses = server.addresses();
    if cx.out.json() {
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let ready = serde_json::json!({ "listening": addresses, "data": cx.data.display().to_string() });
        cx.out.line(ready.to_string())?;
        cx.out.flush()?;
    } else {
        for address in &addresses {
            cx.out.note(format!("listening on {address}, data in {}", cx.data.display()));
        }
        if let Some(address) = addresses.first() {
            cx.out.note(format!("connect any Kafka client to it:   kcat -b {address} -L   (Ctrl-C stops)"));
        }
    }
    cx.stop.asked().await;
    cx.out.note("stopping: what was received is answered first");
    Ok(server.shut_down().await?)
}

/// What the machine has.
fn memory_bytes() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?.trim();
    kib.parse::<usize>().ok()?.checked_mul(1024)
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("it has the form HOST:PORT")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match port.parse() {
        Ok(port) if !host.is_empty() => Ok((host.to_owned(), port)),
        _ => Err("it has the form HOST:PORT".into()),
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it has the form NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_settings_are_taken_apart() {
        assert_eq!(host_and_port("log.example:9092"), Ok(("log.example".into(), 9092)));
        assert_eq!(host_and_port("[::1]:1"), Ok(("::1".into(), 1)));
        for bad in ["", "host", ":9092", "host:", "host:70000"] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
        assert_eq!(setting("a.b=c=d"), Ok(("a.b".into(), "c=d".into())));
        assert!(setting("a").is_err() && setting("=a").is_err());
    }
}
