//! Every API in every version: exchanged with an independent implementation, cut short, and damaged.

mod framing;
mod hostile;
#[cfg(feature = "oracle")]
mod oracle;

use super::api::{self, ApiKey, each_api};
use super::dice::Dice;
use super::*;
use crate::types::Result;
use bytes::Bytes;

/// What one direction of an API does with the bytes of a message, headers excluded.
struct Codec {
    name: String,
    version: Version,
    /// A random message, as bytes.
    random: fn(u64, Version) -> Bytes,
    /// Reads bytes and writes what was read again; with the bytes that reading has allocated.
    again: fn(Bytes, Version) -> Result<(Bytes, usize)>,
    /// The same with the other implementation; `None` where it does not know the version.
    #[cfg(feature = "oracle")]
    theirs: fn(Bytes, Version) -> Option<Bytes>,
}

fn written<M: Message>(message: &M, version: Version) -> Bytes {
    let mut writer = Writer::new();
    message.write(&mut writer, version);
    writer.finish().unwrap().into_content()
}

/// A message that a reader has made up.
fn made_up<M: Message>(dice: Dice, version: Version) -> M {
    M::read(&mut Reader::of_dice(dice), version).unwrap()
}

fn random<M: Message>(seed: u64, version: Version) -> Bytes {
    written(&made_up::<M>(Dice::new(seed), version), version)
}

fn again<M: Message>(bytes: Bytes, version: Version) -> Result<(Bytes, usize)> {
    let mut reader = Reader::new(bytes);
    let message = M::read(&mut reader, version)?;
    let allocated = reader.allocated();
    reader.finish()?;
    Ok((written(&message, version), allocated))
}

macro_rules! codecs {
    ($($key:literal $name:ident($module:ident::$request:ident, $response:ident) $versions:expr => $flexible:expr;)+) => {
        /// Both directions of every API in every version.
        fn codecs() -> Vec<Codec> {
            let mut codecs = Vec::new();
            $(
                for number in ApiKey::$name.versions() {
                    let version = ApiKey::$name.version(number).unwrap();
                    codecs.push(Codec {
                        name: format!("{} v{number}", stringify!($request)),
                        version,
                        random: random::<api::$request>,
                        again: again::<api::$request>,
                        #[cfg(feature = "oracle")]
                        theirs: codecs!(@theirs $request),
                    });
                    codecs.push(Codec {
                        name: format!("{} v{number}", stringify!($response)),
                        version,
                        random: random::<api::$response>,
                        again: again::<api::$response>,
                        #[cfg(feature = "oracle")]
                        theirs: codecs!(@theirs $response),
                    });
                }
            )+
            for number in 0..=3 {
                let version = Version { number, flexible: false };
                codecs.push(Codec {
                    name: format!("ConsumerProtocolSubscription v{number}"),
                    version,
                    random: random::<ConsumerProtocolSubscription>,
                    again: again::<ConsumerProtocolSubscription>,
                    #[cfg(feature = "oracle")]
                    theirs: oracle::theirs::<kafka_protocol::messages::ConsumerProtocolSubscription>,
                });
                codecs.push(Codec {
                    name: format!("ConsumerProtocolAssignment v{number}"),
                    version,
                    random: random::<ConsumerProtocolAssignment>,
                    again: again::<ConsumerProtocolAssignment>,
                    #[cfg(feature = "oracle")]
                    theirs: oracle::theirs::<kafka_protocol::messages::ConsumerProtocolAssignment>,
                });
            }
            codecs
        }
    };
    // They do not know the groups of streams.
    (@theirs StreamsGroupHeartbeatRequest) => { |_, _| None };
    (@theirs StreamsGroupHeartbeatResponse) => { |_, _| None };
    (@theirs StreamsGroupDescribeRequest) => { |_, _| None };
    (@theirs StreamsGroupDescribeResponse) => { |_, _| None };
    (@theirs $message:ident) => { oracle::theirs::<kafka_protocol::messages::$message> };
}
each_api!(codecs);

#[test]
fn every_message_survives_a_frame() {
    for codec in codecs() {
        for seed in 0..40 {
            let bytes = (codec.random)(seed, codec.version);
            let (again, _) = (codec.again)(bytes.clone(), codec.version)
                .unwrap_or_else(|error| panic!("{} seed {seed}: {error}", codec.name));
            assert_eq!(again, bytes, "{} seed {seed}", codec.name);
        }
    }
}
