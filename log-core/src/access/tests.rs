//! Vectors of the RFCs, hostile exchanges, and entries against a naive reading of the rules.

use super::*;
use crate::types::{
    AclBinding, AclOperation, AclPermission, Error, Instant, PatternType, QuotaEntity, QuotaKey, QuotaName,
    ResourceType, ScramCredential, ScramMechanism,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

fn credential(mechanism: ScramMechanism, password: &str) -> ScramCredential {
    let salt = base64_of("W22ZaJ0SNY7soEsUEjb6gQ==");
    credential_of(mechanism, &salted_password(mechanism, password.as_bytes(), &salt, 4096), salt, 4096)
}

fn base64_of(text: &str) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(text).unwrap()
}

/// RFC 7677, section 3.
#[test]
fn scram_follows_the_rfcs_example() {
    let nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let mut server = ScramServer::new(ScramMechanism::Sha256, nonce.into(), [0; 32]);
    let mut client = ScramClient::new(ScramMechanism::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".into());
    let stored = |user: &str| (user == "user").then(|| credential(ScramMechanism::Sha256, "pencil"));

    let first = client.first();
    assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let Step::Continue(challenge) = server.step(&first, stored).unwrap() else { panic!("a challenge") };
    let expected = format!("r=rOprNGfwEbeRWgbNEkqO{nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    assert_eq!(String::from_utf8(challenge.clone()).unwrap(), expected);
    let last = client.answer(&challenge).unwrap();
    assert!(last.ends_with(b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{}", String::from_utf8_lossy(&last));
    let Step::Done { message, user } = server.step(&last, stored).unwrap() else { panic!("the end") };
    assert_eq!((message.as_slice(), user.as_str()), (&b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="[..], "user"));
    client.verify(&message).unwrap();
    assert!(server.step(&last, stored).is_err(), "an exchange ends once");
}

fn exchange(mechanism: ScramMechanism, user: &str, password: &str, known: &ScramCredential) -> Result<String, Error> {
    let mut server = ScramServer::new(mechanism, "server".into(), [7; 32]);
    let mut client = ScramClient::new(mechanism, user, password, "client".into());
    let find = |name: &str| (name == "a=l,ice").then(|| known.clone());
    let Step::Continue(challenge) = server.step(&client.first(), find)? else { panic!("a challenge") };
    match server.step(&client.answer(&challenge)?, find)? {
        Step::Done { message, user } => client.verify(&message).map(|()| user),
        Step::Continue(_) => panic!("the end"),
    }
}

#[test]
fn whoever_has_no_right_to_enter_is_told_the_same() {
    for mechanism in ScramMechanism::ALL {
        let known = credential(mechanism, "secret");
        known.validate().unwrap();
        assert_eq!(exchange(mechanism, "a=l,ice", "secret", &known).unwrap(), "a=l,ice");
        let told = |result: Result<String, Error>| result.unwrap_err().to_string();
        let wrong = told(exchange(mechanism, "a=l,ice", "secrets", &known));
        assert_eq!(told(exchange(mechanism, "bob", "secret", &known)), wrong);
        let other = ScramMechanism::ALL.into_iter().find(|other| *other != mechanism).unwrap();
        assert_eq!(told(exchange(other, "a=l,ice", "secret", &known)), wrong);
        assert_eq!(wrong, "authentication failed: invalid credentials");
    }
}

#[test]
fn an_unknown_user_has_a_salt_that_stays() {
    let challenge = |user: &str, decoy: u8| {
        let first = format!("n,,n={user},r=c");
        ScramServer::new(ScramMechanism::Sha256, "s".into(), [decoy; 32]).step(first.as_bytes(), |_| None).unwrap()
    };
    assert_eq!(challenge("bob", 1), challenge("bob", 1));
    assert_ne!(challenge("bob", 1), challenge("eve", 1));
    assert_ne!(challenge("bob", 1), challenge("bob", 2));
}

#[test]
fn messages_that_break_the_rules_are_refused() {
    let first = |message: &str| {
        let mut server = ScramServer::new(ScramMechanism::Sha256, "s".into(), [0; 32]);
        server.step(message.as_bytes(), |_| None)
    };
    for good in ["n,,n=bob,r=c", "y,,n=bob,r=c", "n,a=bob,n=bob,r=c", "n,,n=bob,r=c,tokenauth=true"] {
        assert!(first(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "n",
        "n,,",
        "p=tls-unique,,n=bob,r=c",
        "n,a=eve,n=bob,r=c",
        "n,bob,n=bob,r=c",
        "n,,m=x,n=bob,r=c",
        "n,,n=,r=c",
        "n,,n=bob,r=",
        "n,,n=b=4Ab,r=c",
        "n,,n=b=2,r=c",
        "n,,r=c,n=bob",
        &format!("n,,n=bob,r={}", "c".repeat(5000)),
    ] {
        assert!(matches!(first(bad), Err(Error::AuthenticationFailed { .. })), "{bad}");
    }
    let last = |message: &str| {
        let mut server = ScramServer::new(ScramMechanism::Sha256, "s".into(), [0; 32]);
        let known = |_: &str| Some(credential(ScramMechanism::Sha256, "p"));
        server.step(b"n,,n=bob,r=c", known).unwrap();
        server.step(message.as_bytes(), known)
    };
    let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    for bad in ["", "c=biws,r=cs", "c=biws,r=cs,p=@", "c=biws,r=cs,p=", &format!("c=biws,r=cs,p={proof}")] {
        assert!(last(bad).is_err(), "{bad}");
    }
    assert!(last(&format!("c=eSws,r=cs,p={proof}")).unwrap_err().to_string().contains("binding"));
    assert!(last(&format!("c=biws,r=cx,p={proof}")).unwrap_err().to_string().contains("nonce"));
}

#[test]
fn a_client_does_not_trust_every_server() {
    let answer = |challenge: &str| {
        ScramClient::new(ScramMechanism::Sha256, "bob", "p", "mine".into()).answer(challenge.as_bytes())
    };
    assert!(answer("r=mineYours,s=AAAA,i=4096").is_ok());
    for bad in ["r=mine,s=AAAA,i=4096", "r=yours,s=AAAA,i=4096", "r=mineX,s=AAAA,i=1", "r=mineX,s=AAAA,i=99999999", ""]
    {
        assert!(answer(bad).is_err(), "{bad}");
    }
    let mut client = ScramClient::new(ScramMechanism::Sha256, "bob", "p", "mine".into());
    assert!(client.verify(b"v=AAAA").is_err(), "before it has answered");
    client.answer(b"r=mineX,s=AAAA,i=4096").unwrap();
    assert!(client.verify(b"v=AAAA").is_err());
}

#[test]
fn plain_goes_against_the_same_credentials() {
    let mut users = Credentials::default();
    assert!(users.check_plain(b"\0alice\0secret").is_err());
    users.insert("alice".into(), credential(ScramMechanism::Sha512, "secret"));
    assert_eq!(users.check_plain(b"\0alice\0secret").unwrap(), "alice");
    assert_eq!(users.check_plain(b"alice\0alice\0secret").unwrap(), "alice");
    for bad in [
        &b"\0alice\0wrong"[..],
        b"\0bob\0secret",
        b"bob\0alice\0secret",
        b"\0alice\0",
        b"alice\0secret",
        b"\0a\0b\0c",
        b"\xff",
    ] {
        assert!(matches!(users.check_plain(bad), Err(Error::AuthenticationFailed { .. })), "{bad:?}");
    }
    users.remove("alice", ScramMechanism::Sha256);
    assert!(users.has("alice"));
    users.remove("alice", ScramMechanism::Sha512);
    assert!(users.is_empty());
}

fn entry(text: &str) -> AclBinding {
    // allow alice read flights.* [from 10.0.0.1]
    let words: Vec<_> = text.split(' ').collect();
    let (resource_name, pattern_type) = match words[3].strip_suffix('…') {
        Some(prefix) => (prefix, PatternType::Prefixed),
        None => (words[3], PatternType::Literal),
    };
    AclBinding {
        resource_type: ResourceType::Topic,
        pattern_type,
        resource_name: resource_name.into(),
        principal: format!("User:{}", words[1]),
        host: words.get(5).unwrap_or(&"*").to_string(),
        operation: AclOperation::from_name(words[2]).unwrap(),
        permission: if words[0] == "allow" { AclPermission::Allow } else { AclPermission::Deny },
    }
}

fn acls(entries: &[&str]) -> Acls {
    let mut acls = Acls::default();
    for text in entries {
        assert!(acls.insert(entry(text)));
    }
    acls
}

/// `alice read flights.v1 [from 10.0.0.1]`
fn may(acls: &Acls, text: &str) -> bool {
    let words: Vec<_> = text.split(' ').collect();
    let super_users = SuperUsers::parse("User:root; User:admin");
    Authorizer { acls, super_users: &super_users, has_users: true, is_lenient: false }.allows(&Request {
        principal: &Principal::user(words[0]),
        host: words.get(4).unwrap_or(&"127.0.0.1"),
        operation: AclOperation::from_name(words[1]).unwrap(),
        resource_type: ResourceType::Topic,
        resource: words[2],
    })
}

#[test]
fn entries_allow_and_refuse() {
    let acls = acls(&[
        "allow alice read flights.…",
        "deny alice read flights.secret",
        "allow bob all *",
        "deny bob delete *",
        "allow * describe public",
        "allow carol alter_configs logs from 10.0.0.1",
    ]);
    for yes in [
        "alice read flights.v1",
        "alice describe flights.v1",
        "alice describe flights.secret",
        "bob write anything",
        "eve describe public",
        "root delete anything",
        "admin delete anything",
        "carol alter_configs logs from 10.0.0.1",
        "carol describe_configs logs from 10.0.0.1",
    ] {
        assert!(may(&acls, yes), "{yes}");
    }
    for no in [
        "alice read flight",
        "alice write flights.v1",
        "alice read flights.secret",
        "bob delete anything",
        "eve read public",
        "carol alter_configs logs from 10.0.0.2",
        "carol describe logs from 10.0.0.1",
    ] {
        assert!(!may(&acls, no), "{no}");
    }
}

#[test]
fn until_something_is_set_up_everyone_may_do_everything() {
    let (none, nobody) = (Acls::default(), SuperUsers::default());
    let eve = Principal::anonymous();
    let request = Request {
        principal: &eve,
        host: "::1",
        operation: AclOperation::Alter,
        resource_type: ResourceType::Cluster,
        resource: "kafka-cluster",
    };
    assert!(Authorizer { acls: &none, super_users: &nobody, has_users: false, is_lenient: false }.allows(&request));
    assert!(!Authorizer { acls: &none, super_users: &nobody, has_users: true, is_lenient: false }.allows(&request));
    let one = acls(&["allow alice read flights"]);
    assert!(!Authorizer { acls: &one, super_users: &nobody, has_users: false, is_lenient: false }.allows(&request));
}

#[test]
fn what_no_entry_is_about_can_be_left_to_everyone() {
    let mut acls = Acls::default();
    let entry = |pattern_type, name: &str, permission| AclBinding {
        resource_type: ResourceType::Topic,
        pattern_type,
        resource_name: name.into(),
        principal: "User:alice".into(),
        host: "*".into(),
        operation: AclOperation::Read,
        permission,
    };
    acls.insert(entry(PatternType::Literal, "t", AclPermission::Allow));
    acls.insert(entry(PatternType::Prefixed, "secret.", AclPermission::Deny));
    let super_users = SuperUsers::default();
    let authorizer = Authorizer { acls: &acls, super_users: &super_users, has_users: true, is_lenient: true };
    let may = |name: &str, resource_type, resource: &str| {
        let (principal, host, operation) = (&Principal::user(name), "10.0.0.1", AclOperation::Read);
        authorizer.allows(&Request { principal, host, operation, resource_type, resource })
    };
    assert!(may("alice", ResourceType::Topic, "t") && !may("bob", ResourceType::Topic, "t"), "an entry is about it");
    assert!(may("bob", ResourceType::Topic, "u") && may("bob", ResourceType::Group, "t"));
    assert!(!may("alice", ResourceType::Topic, "secret.x") && !may("bob", ResourceType::Topic, "secret.x"));
    let any = |name: &str| authorizer.allows_any(&Principal::user(name), "h", AclOperation::Read, ResourceType::Topic);
    assert!(any("alice") && any("bob"));
}

/// The rules, read word by word, over every entry.
fn naive(entries: &[AclBinding], principal: &str, operation: AclOperation, name: &str) -> bool {
    let about: Vec<_> = entries
        .iter()
        .filter(|e| e.principal == format!("User:{principal}") || e.principal == "User:*")
        .filter(|e| match e.pattern_type {
            PatternType::Literal => e.resource_name == name || e.resource_name == "*",
            PatternType::Prefixed => name.starts_with(&e.resource_name),
        })
        .collect();
    let all = AclOperation::All;
    let denied =
        about.iter().any(|e| e.permission == AclPermission::Deny && (e.operation == operation || e.operation == all));
    let allowed = about.iter().any(|e| {
        e.permission == AclPermission::Allow
            && (e.operation == operation
                || e.operation == all
                || operation == AclOperation::Describe
                    && [AclOperation::Read, AclOperation::Write, AclOperation::Delete, AclOperation::Alter]
                        .contains(&e.operation))
    });
    allowed && !denied
}

fn any_entry() -> impl Strategy<Value = AclBinding> {
    let name = "[ab]{1,4}|\\*";
    let operation = prop::sample::select(vec!["read", "write", "describe", "all"]);
    (name, any::<bool>(), prop::sample::select(vec!["alice", "bob", "*"]), operation, any::<bool>()).prop_map(
        |(name, prefixed, principal, operation, allow)| {
            let prefixed = if prefixed && name != "*" { "…" } else { "" };
            let allow = if allow { "allow" } else { "deny" };
            entry(&format!("{allow} {principal} {operation} {name}{prefixed}"))
        },
    )
}

proptest! {
    #[test]
    fn lookups_agree_with_the_rules_read_word_by_word(
        entries in prop::collection::vec(any_entry(), 1..12),
        removed in prop::collection::vec(any_entry(), 0..4),
        names in prop::collection::vec("[ab]{1,5}", 8),
    ) {
        let mut acls = Acls::default();
        for entry in &entries {
            acls.insert(entry.clone());
        }
        for entry in &removed {
            acls.remove(entry);
        }
        let left: Vec<_> = acls.iter().cloned().collect();
        prop_assert_eq!(left.len(), acls.len());
        let kept = entries.iter().filter(|e| !removed.contains(e)).collect::<std::collections::BTreeSet<_>>();
        prop_assert_eq!(kept, left.iter().collect());
        prop_assume!(!left.is_empty());
        let super_users = SuperUsers::default();
        let authorizer = Authorizer { acls: &acls, super_users: &super_users, has_users: true, is_lenient: false };
        let mut any_allowed = [false; 2];
        for name in &names {
            for (who, principal) in ["alice", "bob"].into_iter().enumerate() {
                for operation in [AclOperation::Read, AclOperation::Describe] {
                    let request = Request {
                        principal: &Principal::user(principal),
                        host: "h",
                        operation,
                        resource_type: ResourceType::Topic,
                        resource: name,
                    };
                    let expected = naive(&left, principal, operation, name);
                    prop_assert_eq!(authorizer.allows(&request), expected, "{} {} {}", principal, operation, name);
                    any_allowed[who] |= expected && operation == AclOperation::Read;
                }
            }
        }
        for (who, principal) in ["alice", "bob"].into_iter().enumerate() {
            let some = authorizer.allows_any(&Principal::user(principal), "h", AclOperation::Read, ResourceType::Topic);
            prop_assert!(some || !any_allowed[who], "{} may read one of {:?}", principal, names);
        }
    }
}

#[test]
fn the_nearest_quota_decides() {
    let mut quotas = Quotas::default();
    let mut set = |user: Option<QuotaName>, client_id: Option<QuotaName>, value: f64| {
        let entity = QuotaEntity { user, client_id, ip: None };
        quotas.set(entity, BTreeMap::from([(QuotaKey::ProducerByteRate, value)]));
    };
    let exactly = |name: &str| Some(QuotaName::Exactly(name.into()));
    set(exactly("alice"), exactly("c1"), 1.0);
    set(exactly("alice"), None, 3.0);
    set(Some(QuotaName::Default), Some(QuotaName::Default), 5.0);
    set(None, exactly("c1"), 7.0);
    let limit = |user: &str, client: &str| quotas.limit(user, client, QuotaKey::ProducerByteRate);
    let bucket = |user: Option<&str>, client: Option<&str>| Bucket {
        user: user.map(Into::into),
        client_id: client.map(Into::into),
        ip: None,
    };
    assert_eq!(limit("alice", "c1"), Some((bucket(Some("alice"), Some("c1")), 1.0)));
    assert_eq!(limit("alice", "c2"), Some((bucket(Some("alice"), None), 3.0)));
    assert_eq!(limit("bob", "c1"), Some((bucket(Some("bob"), Some("c1")), 5.0)), "before the client id alone");
    assert_eq!(quotas.limit("bob", "c1", QuotaKey::ConsumerByteRate), None);
}

#[test]
fn what_is_over_a_quota_is_paid_for_by_waiting() {
    let at = |seconds| Instant(0) + Duration::from_secs(seconds);
    let mut meter = Meter::new(100.0, at(0));
    assert_eq!(meter.charge(100.0, 1100.0, at(0)), Duration::ZERO, "a window's worth is there");
    assert_eq!(meter.charge(100.0, 200.0, at(0)), Duration::from_secs(2));
    assert_eq!(meter.charge(100.0, 0.0, at(1)), Duration::from_secs(1));
    assert_eq!(meter.charge(100.0, 0.0, at(2)), Duration::ZERO);
    assert_eq!(meter.charge(100.0, 1e9, at(3)), Duration::from_secs(11), "never longer than the window");
}
