//! What is read from a certificate (X.509, in DER): who it is for, and until when. Whether it is to be believed is not
//! decided here: TLS has checked it.
//!
//! ```text
//!   Certificate ─ TBSCertificate ─ [0] version?  serial  algorithm  issuer  validity  subject  …
//!                                                                     notBefore notAfter │
//!                                                                              RDN ─ RDN ─ … ─ {type, value} …
//! ```
//! The subject becomes a user's name as Kafka makes one by default: RFC 2253, the last part first, `CN=alice,O=Example`.
//! Nothing recurses, every length is checked against what is there, and what is not understood is an error.

use crate::types::{Error, Result, Timestamp};
use std::fmt::Write as _;

const VERSION: u8 = 0xa0;
const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const T61_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const BMP_STRING: u8 = 0x1e;

/// The types of names that RFC 2253 has a short form for, by the bytes of their object id.
const KEYWORDS: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
];

/// What is known of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The subject, as RFC 2253 writes it; empty if it has none.
    pub(crate) subject: String,
    pub(crate) not_after: Timestamp,
}

impl Certificate {
    pub(crate) fn read(der: &[u8]) -> Result<Self> {
        let mut parts = Der(Der(Der(der).take(SEQUENCE)?).take(SEQUENCE)?);
        if parts.next_is(VERSION) {
            parts.take(VERSION)?;
        }
        parts.take(INTEGER)?;
        parts.take(SEQUENCE)?;
        parts.take(SEQUENCE)?;
        let mut validity = Der(parts.take(SEQUENCE)?);
        validity.any()?;
        let (tag, not_after) = validity.any()?;
        let subject = parts.take(SEQUENCE)?;
        Ok(Self { subject: name(subject)?, not_after: time(tag, not_after)? })
    }
}

/// Bytes of values, one behind the other: a tag, a length, so many bytes.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn next_is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The next value, whatever it is.
    fn any(&mut self) -> Result<(u8, &'a [u8])> {
        let [tag, first, rest @ ..] = self.0 else { return Err(malformed()) };
        let (length, rest) = match *first {
            short @ ..=0x7f => (usize::from(short), rest),
            // More than three bytes of length are more than any certificate that TLS carries.
            long @ 0x81..=0x83 => {
                let (length, rest) = rest.split_at_checked(usize::from(long & 0x7f)).ok_or_else(malformed)?;
                (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return Err(malformed()),
        };
        let (value, rest) = rest.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok((*tag, value))
    }

    fn take(&mut self, expected: u8) -> Result<&'a [u8]> {
        let (tag, value) = self.any()?;
        if tag == expected { Ok(value) } else { Err(malformed()) }
    }
}

fn malformed() -> Error {
    Error::Malformed { why: "the certificate is not one of X.509 in DER".into() }
}

/// A name as RFC 2253 writes it.
fn name(der: &[u8]) -> Result<String> {
    let (mut parts, mut rdns) = (Vec::new(), Der(der));
    while !rdns.0.is_empty() {
        let (mut pairs, mut values) = (Vec::new(), Der(rdns.take(SET)?));
        while !values.0.is_empty() {
            let mut pair = Der(values.take(SEQUENCE)?);
            let kind = pair.take(OBJECT_ID)?;
            let (tag, value) = pair.any()?;
            pairs.push(attribute(kind, tag, value)?);
        }
        parts.push(pairs.join("+"));
    }
    parts.reverse();
    Ok(parts.join(","))
}

fn attribute(kind: &[u8], tag: u8, value: &[u8]) -> Result<String> {
    let keyword = KEYWORDS.iter().find(|(id, _)| *id == kind);
    match (keyword, text(tag, value)) {
        (Some((_, keyword)), Some(text)) => Ok(format!("{keyword}={}", escape(&text))),
        // What has no keyword or is no text is written as bytes.
        (keyword, _) => {
            let kind = keyword.map_or_else(|| dotted(kind), |(_, keyword)| Ok((*keyword).to_owned()))?;
            let mut hex = format!("{kind}=#{tag:02x}");
            match value.len() {
                short @ 0..0x80 => write!(hex, "{short:02x}"),
                long @ 0x80..0x100 => write!(hex, "81{long:02x}"),
                long => write!(hex, "82{long:04x}"),
            }
            .and_then(|()| value.iter().try_for_each(|byte| write!(hex, "{byte:02x}")))
            .expect("a String takes it");
            Ok(hex)
        }
    }
}

fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8_STRING | PRINTABLE_STRING | IA5_STRING => String::from_utf8(value.to_vec()).ok(),
        T61_STRING => Some(value.iter().map(|byte| char::from(*byte)).collect()),
        BMP_STRING if value.len().is_multiple_of(2) => {
            let units: Vec<_> = value.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

/// What would mean something else in a name gets a backslash.
fn escape(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        let is_special = ",=+<>#;\"\\".contains(c) || (c == ' ' && (at == 0 || at == last));
        if is_special {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// An object id in numbers.
fn dotted(id: &[u8]) -> Result<String> {
    let mut numbers = Vec::new();
    let mut number = 0_u64;
    for byte in id {
        number = number.checked_mul(128).ok_or_else(malformed)? | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                // The first two share one.
                let first = (number / 40).min(2);
                numbers.extend([first, number - 40 * first]);
            } else {
                numbers.push(number);
            }
            number = 0;
        }
    }
    Ok(numbers.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, value: &[u8]) -> Result<Timestamp> {
    let digits = value.strip_suffix(b"Z").ok_or_else(malformed)?;
    let pair = |at: usize| match digits.get(at..at + 2) {
        Some([tens @ b'0'..=b'9', ones @ b'0'..=b'9']) => Ok(i64::from(tens - b'0') * 10 + i64::from(ones - b'0')),
        _ => Err(malformed()),
    };
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => (if pair(0)? < 50 { 2000 + pair(0)? } else { 1900 + pair(0)? }, 2),
        (GENERALIZED_TIME, 14) => (pair(0)? * 100 + pair(2)?, 4),
        _ => return Err(malformed()),
    };
    let (month, day) = (pair(rest)?, pair(rest + 2)?);
    let (hours, minutes, seconds) = (pair(rest + 4)?, pair(rest + 6)?, pair(rest + 8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(malformed());
    }
    let seconds = ((days_from_civil(year, month, day) * 24 + hours) * 60 + minutes) * 60 + seconds;
    Ok(Timestamp(seconds * 1000))
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = match content.len() {
            short @ 0..0x80 => vec![short as u8],
            long => vec![0x82, (long >> 8) as u8, long as u8],
        };
        [&[tag][..], &length, content].concat()
    }

    fn attribute_of(kind: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        der(SEQUENCE, &[der(OBJECT_ID, kind), der(tag, value)].concat())
    }

    fn certificate(rdns: &[Vec<u8>], not_after: &[u8]) -> Vec<u8> {
        let validity = [der(UTC_TIME, b"200101000000Z"), not_after.to_vec()].concat();
        let parts = [
            der(0xa0, &der(INTEGER, &[2])),
            der(INTEGER, &[1; 200]),
            der(SEQUENCE, &[]),
            der(SEQUENCE, &[]),
            der(SEQUENCE, &validity),
            der(SEQUENCE, &rdns.concat()),
            der(SEQUENCE, &[7; 300]),
        ];
        der(SEQUENCE, &[der(SEQUENCE, &parts.concat()), der(SEQUENCE, &[])].concat())
    }

    #[test]
    fn the_subject_is_written_as_kafka_writes_it() {
        let end = der(UTC_TIME, b"491231235959Z");
        let one = |kind: &[u8], tag, value: &[u8]| der(SET, &attribute_of(kind, tag, value));
        let of = |rdns: &[Vec<u8>]| Certificate::read(&certificate(rdns, &end)).unwrap().subject;
        let country = one(&[0x55, 4, 6], PRINTABLE_STRING, b"NZ");
        let organization = one(&[0x55, 4, 10], UTF8_STRING, "Käse, Inc.".as_bytes());
        let both =
            [attribute_of(&[0x55, 4, 3], UTF8_STRING, b"alice"), attribute_of(&[0x55, 4, 11], UTF8_STRING, b"x")];
        assert_eq!(of(&[]), "");
        assert_eq!(of(&[country, organization, der(SET, &both.concat())]), "CN=alice+OU=x,O=Käse\\, Inc.,C=NZ");
        assert_eq!(of(&[one(&[0x55, 4, 3], BMP_STRING, &[0, b'a', 1, 0x41])]), "CN=aŁ");
        assert_eq!(of(&[one(&[0x55, 4, 3], UTF8_STRING, b" a# ")]), "CN=\\ a\\#\\ ");
        assert_eq!(of(&[one(&[0x55, 4, 3], UTF8_STRING, b"#a=b")]), "CN=\\#a\\=b");
        // A mail address has no keyword there.
        let mail = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
        assert_eq!(of(&[one(&mail, IA5_STRING, b"a@b")]), "1.2.840.113549.1.9.1=#1603614062");
    }

    #[test]
    fn the_end_is_a_moment() {
        let ends =
            |tag, text: &[u8]| Certificate::read(&certificate(&[], &der(tag, text))).map(|found| found.not_after);
        assert_eq!(ends(UTC_TIME, b"130208210000Z").unwrap().to_string(), "2013-02-08T21:00:00Z");
        assert_eq!(ends(UTC_TIME, b"700101000000Z").unwrap(), Timestamp(0));
        assert_eq!(ends(GENERALIZED_TIME, b"20510229010203Z").unwrap().to_string(), "2051-03-01T01:02:03Z");
        for (tag, bad) in [(UTC_TIME, &b"1302082100Z"[..]), (UTC_TIME, b"130208210000"), (GENERALIZED_TIME, b"x")] {
            ends(tag, bad).unwrap_err();
        }
        ends(UTC_TIME, b"139908210000Z").unwrap_err();
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_do_not_panic(mut bytes: Vec<u8>, at: usize, byte: u8) {
            let _ = Certificate::read(&bytes);
            let rdn = der(SET, &attribute_of(&[0x55, 4, 3], UTF8_STRING, &bytes));
            bytes = certificate(&[rdn], &der(UTC_TIME, b"491231235959Z"));
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Certificate::read(&bytes);
            let _ = Certificate::read(&bytes[..at]);
        }
    }
}
