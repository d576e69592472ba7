//! `tw start`: a broker that Kafka's clients use without noticing, until Ctrl-C or SIGTERM.
//!
//! It listens on this machine only unless it is told otherwise. What protects a listener stands before its address:
//!
//! ```text
//!   127.0.0.1:9092                  nothing, for this machine alone
//!   SASL_TLS://0.0.0.0:9093         users of `tw user`, over TLS
//!   TLS://0.0.0.0:9093              TLS; with --tls-client-ca the client's certificate says who it is
//!   SASL_PLAINTEXT://0.0.0.0:9093   users, whose passwords are not sent (SCRAM)
//! ```
//! When it is asked to stop it takes no more requests,
//! answers those it has, makes everything durable and exits 0.

use super::{Context, Error, Result};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tailwater::log::env::raise_open_files;
use tailwater::log::{ListenerConfig, Security, Server, ServerConfig, TlsConfig};

/// A server with more memory than it says gets this part of it for requests.
const REQUESTS_SHARE: usize = 4;
/// And this much at least.
const REQUESTS_BYTES_MIN: usize = 64 * 1024 * 1024;

/// Arguments of `tw start`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tw start --set num.partitions=4\n  \
                  tw start --listen SASL_TLS://0.0.0.0:9093 --tls-cert cert.pem --tls-key key.pem\n  \
                  tw start --listen 0.0.0.0:9092 --insecure-listen --advertise log.example:9092")]
pub(crate) struct Args {
    /// Where to listen, as [SECURITY://]HOST:PORT; may be given again
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9092", value_parser = listener)]
    listen: Vec<(Security, SocketAddr)>,
    /// The certificate for TLS, with those that signed it (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Clients show a certificate that one of these has signed (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// What clients are told [default: the address they came to]
    #[arg(long, value_name = "ADDRESS", value_parser = host_and_port)]
    advertise: Option<(String, u16)>,
    /// Listen beyond this machine although nobody has to authenticate
    #[arg(long)]
    insecure_listen: bool,
    /// The id that clients know the broker by
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    node_id: i32,
    /// Show metrics and health over HTTP here, as 127.0.0.1:9644
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// A setting of the broker by Kafka's name; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
}

pub(crate) async fn run(args: Args, cx: &mut Context) -> Result<()> {
    let listener = |&(security, address): &(Security, SocketAddr)| ListenerConfig {
        advertised: args.advertise.clone(),
        ..ListenerConfig::new(security, address)
    };
    let tls = tls(&args, cx)?;
    if let Some((security, _)) = args.listen.iter().find(|(security, _)| security.encrypts() && tls.is_none()) {
        return Err(Error::Coded {
            code: "TW0211",
            message: format!("a listener with {} needs a certificate", security.name()),
            help: Some("say where it is with   --tls-cert FILE --tls-key FILE".into()),
        });
    }
    let mut config = ServerConfig {
        listeners: args.listen.iter().map(listener).collect(),
        insecure_listen: args.insecure_listen,
        tls,
        metrics: args.metrics,
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
        let mut ready = serde_json::json!({ "listening": addresses, "data": cx.data.display().to_string() });
        if let Some(address) = server.metrics_address() {
            ready["metrics"] = address.to_string().into();
        }
        cx.out.line(ready.to_string())?;
        cx.out.flush()?;
    } else {
        for (address, (security, _)) in addresses.iter().zip(&args.listen) {
            let by = if *security == Security::Plaintext { String::new() } else { format!(" by {}", security.name()) };
            cx.out.note(format!("listening on {address}{by}, data in {}", cx.data.display()));
        }
        if let Some(address) = server.metrics_address() {
            cx.out.note(format!("metrics on http://{address}/metrics"));
        }
        let asks = args.listen.iter().any(|(security, _)| security.asks_for_sasl());
        if asks && server.log().admin().users().await?.is_empty() {
            cx.out.note("nobody can come in yet: stop, and add a user with   tw user add NAME --admin");
        }
        let plain = addresses.iter().zip(&args.listen).find(|(_, (security, _))| *security == Security::Plaintext);
        if let Some((address, _)) = plain {
            cx.out.note(format!("connect any Kafka client to it:   kcat -b {address} -L   (Ctrl-C stops)"));
        }
    }
    cx.stop.asked().await;
    cx.out.note("stopping: what was received is answered first");
    Ok(server.shut_down().await?)
}

/// Reads the files that TLS needs.
fn tls(args: &Args, cx: &mut Context) -> Result<Option<TlsConfig>> {
    let (Some(certificates), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(None) };
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| Error::Input { input: path.display().to_string(), why: error.to_string() })
    };
    let config = TlsConfig {
        certificates: read(certificates)?,
        key: read(key)?,
        client_authorities: args.tls_client_ca.as_deref().map(read).transpose()?,
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if std::fs::metadata(key).is_ok_and(|found| found.permissions().mode() & 0o007 != 0) {
            cx.out.note(format!("everyone on this machine can read the key;   chmod 600 {}", key.display()));
        }
    }
    Ok(Some(config))
}

fn listener(text: &str) -> Result<(Security, SocketAddr), String> {
    let (security, address) = match text.split_once("://") {
        None => (Security::Plaintext, text),
        Some((name, address)) => match Security::from_name(name) {
            Some(security) => (security, address),
            None => {
                let names: Vec<_> = Security::ALL.iter().map(|security| security.name()).collect();
                return Err(format!("a listener is protected by one of {}", names.join(", ")));
            }
        },
    };
    let address = address.parse().map_err(|_| "it has the form HOST:PORT, with an address for HOST".to_owned())?;
    Ok((security, address))
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
    fn listeners_say_what_protects_them() {
        let at = |address: &str| address.parse().unwrap();
        assert_eq!(listener("127.0.0.1:9092"), Ok((Security::Plaintext, at("127.0.0.1:9092"))));
        assert_eq!(listener("PLAINTEXT://[::1]:1"), Ok((Security::Plaintext, at("[::1]:1"))));
        assert_eq!(listener("SASL_SSL://0.0.0.0:9093"), Ok((Security::SaslTls, at("0.0.0.0:9093"))));
        assert!(listener("FTP://0.0.0.0:1").is_err_and(|why| why.contains("SASL_TLS")));
        assert!(listener("TLS://host").is_err());
    }

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
