//! Settings, users, permissions and quotas, where a server offers them.

use super::shared::create;
use super::{Place, places};
use crate::types::{
    AclBinding, AclFilter, AclOperation, AclPermission, ConfigChange, ConfigOperation, ConfigResource, Error,
    PatternType, QuotaEntity, QuotaKey, QuotaName, ResourceType, TopicName,
};
use std::time::Duration;

/// A cluster may be set up without some of this.
fn is_offered<T>(place: &Place, result: &crate::Result<T>) -> bool {
    match result {
        Err(Error::Unsupported { what }) => {
            assert_ne!(place.name, "in process", "{what}");
            false
        }
        Err(error) => error.to_string().contains("SECURITY_DISABLED"),
        Ok(_) => true,
    }
}

/// Asks until the answer is as it should be, or for long: brokers of Kafka learn of changes a moment later.
async fn until<T>(ask: &impl AsyncFn() -> T, is_good: impl Fn(&T) -> bool) -> T {
    for _ in 0..200 {
        let answer = ask().await;
        if is_good(&answer) {
            return answer;
        }
    }
    ask().await
}

#[tokio::test]
async fn settings_are_changed_and_told() {
    for place in places().await {
        let name = create(&place, "set", 1).await;
        let of = || ConfigResource::Topic(TopicName::new(&name).unwrap());
        let admin = place.log.admin();
        let told = admin.settings(of()).await;
        if !is_offered(&place, &told) {
            continue;
        }
        assert!(told.unwrap().iter().any(|entry| entry.name == "retention.ms"));
        let change = |value: Option<&str>| ConfigChange {
            name: "retention.ms".into(),
            operation: if value.is_some() { ConfigOperation::Set } else { ConfigOperation::Delete },
            value: value.map(Into::into),
        };
        admin.change_settings(of(), vec![change(Some("86400000"))]).await.unwrap();
        let retention = async || admin.describe_topic(&name).await.unwrap().config.retention;
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(until(&retention, |now| *now == day).await, day, "{}", place.name);
        let wrong = admin.change_settings(of(), vec![change(Some("soon"))]).await.unwrap_err();
        assert!(matches!(wrong, Error::InvalidConfig { .. }), "{}: {wrong}", place.name);
        admin.change_settings(of(), vec![change(None)]).await.unwrap();
        let nowhere = ConfigResource::Topic(TopicName::new(place.name("nowhere")).unwrap());
        let unknown = admin.settings(nowhere).await.unwrap_err();
        assert!(matches!(unknown, Error::UnknownTopic { .. }), "{}: {unknown}", place.name);
    }
}

#[tokio::test]
async fn the_cluster_tells_of_itself() {
    for place in places().await {
        let cluster = place.log.admin().describe_cluster().await.unwrap();
        assert!(cluster.brokers.contains(&cluster.controller_id), "{}: {cluster:?}", place.name);
        assert!(!cluster.cluster_id.is_empty());
    }
}

#[tokio::test]
async fn users_and_quotas_are_made_and_taken_away() {
    for place in places().await {
        let admin = place.log.admin();
        let user = place.name("alice");
        let listed = admin.users().await;
        if !is_offered(&place, &listed) {
            continue;
        }
        let entity = QuotaEntity { user: Some(QuotaName::Exactly(user.clone())), ..QuotaEntity::default() };
        let rate = |value| vec![("producer_byte_rate".to_owned(), value)];
        admin.change_quotas(entity.clone(), rate(Some(1024.0))).await.unwrap();
        let quotas = async || {
            let all = admin.quotas().await.unwrap();
            all.into_iter().find(|quota| quota.entity == entity).map(|quota| quota.values)
        };
        assert_eq!(until(&quotas, Option::is_some).await, Some(vec![(QuotaKey::ProducerByteRate, 1024.0)]));
        admin.change_quotas(entity.clone(), rate(None)).await.unwrap();
        assert_eq!(until(&quotas, Option::is_none).await, None, "{}", place.name);
        let gone = admin.remove_user(&user).await.unwrap_err();
        assert!(matches!(gone, Error::ResourceNotFound { .. }), "{}: {gone}", place.name);
        // Last: with the first user, what no entry allows is refused.
        if place.name != "at a cluster" {
            let entry = AclBinding {
                resource_type: ResourceType::Topic,
                pattern_type: PatternType::Literal,
                resource_name: "flights".into(),
                principal: format!("User:{user}"),
                host: "*".into(),
                operation: AclOperation::Read,
                permission: AclPermission::Allow,
            };
            let everyone = AclBinding {
                resource_type: ResourceType::Cluster,
                resource_name: "kafka-cluster".into(),
                principal: "User:ANONYMOUS".into(),
                operation: AclOperation::All,
                ..entry.clone()
            };
            admin.add_acls(vec![everyone, entry.clone()]).await.unwrap();
            let filter = || AclFilter { principal: Some(entry.principal.clone()), ..AclFilter::default() };
            let only = std::slice::from_ref(&entry);
            assert_eq!(admin.acls(filter()).await.unwrap(), only, "{}", place.name);
            assert_eq!(admin.remove_acls(filter()).await.unwrap(), only, "{}", place.name);
            assert_eq!(admin.acls(filter()).await.unwrap(), [], "{}", place.name);
            admin.set_user(&user, "secret").await.unwrap();
            assert!(admin.users().await.unwrap().iter().any(|told| told.user == user), "{}", place.name);
            admin.remove_user(&user).await.unwrap();
        }
    }
}
