//! Kafka's error codes, all of them, and what they are as [`Error`]s.
//!
//! Inside, an error is an [`Error`]; on the wire it is a number. [`ErrorCode::of`] knows the number of every error, and
//! [`ErrorCode::error`] makes an error of every number: one of ours where the number alone says enough, else
//! [`Error::Refused`], which keeps it. Going there and back gives the same number.

use crate::types::{Error, ErrorKind, GroupRefusal, ProducerIdentity, ResourceType, TopicName, TransactionalId};
use std::fmt;

/// A producer that a peer did not name in its answer.
const UNTOLD: ProducerIdentity = ProducerIdentity { id: -1, epoch: -1 };

macro_rules! codes {
    ($($code:literal $variant:ident $name:ident $retry:ident $message:literal;)+) => {
        /// What a broker answers with, beside or instead of a result.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i16)]
        pub(crate) enum ErrorCode {
            $( #[doc = $message] $variant = $code, )+
        }

        impl ErrorCode {
            /// Every code, by number.
            pub(crate) const ALL: &[Self] = &[$( Self::$variant, )+];

            /// The code with this number. One that is not known, of a newer broker, is an unknown error.
            pub(crate) const fn from_number(number: i16) -> Self {
                match number {
                    $( $code => Self::$variant, )+
                    _ => Self::UnknownServerError,
                }
            }

            /// Kafka's name, as `NOT_COORDINATOR`.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => stringify!($name), )+
                }
            }

            /// What it means.
            pub(crate) const fn message(self) -> &'static str {
                match self {
                    $( Self::$variant => $message, )+
                }
            }

            /// Whether the same request may succeed later, perhaps at another broker.
            pub(crate) const fn is_retriable(self) -> bool {
                match self {
                    $( Self::$variant => codes!(@$retry), )+
                }
            }
        }
    };
    (@retriable) => { true };
    (@final) => { false };
}

codes! {
    -1 UnknownServerError UNKNOWN_SERVER_ERROR final "the broker failed in a way it has no code for";
    0 None NONE final "no error";
    1 OffsetOutOfRange OFFSET_OUT_OF_RANGE final "the offset is outside of what the partition holds";
    2 CorruptMessage CORRUPT_MESSAGE retriable "a batch is not what was sent: its checksum, its size or its keys are wrong";
    3 UnknownTopicOrPartition UNKNOWN_TOPIC_OR_PARTITION retriable "the broker has no such topic or partition";
    4 InvalidFetchSize INVALID_FETCH_SIZE final "the fetch size cannot be";
    5 LeaderNotAvailable LEADER_NOT_AVAILABLE retriable "the partition has no leader just now";
    6 NotLeaderOrFollower NOT_LEADER_OR_FOLLOWER retriable "the broker is not the leader, or no replica, of the partition";
    7 RequestTimedOut REQUEST_TIMED_OUT retriable "the request took longer than it was given";
    8 BrokerNotAvailable BROKER_NOT_AVAILABLE final "the broker is not available";
    9 ReplicaNotAvailable REPLICA_NOT_AVAILABLE retriable "the replica is not available";
    10 MessageTooLarge MESSAGE_TOO_LARGE final "a batch is larger than the topic takes";
    11 StaleControllerEpoch STALE_CONTROLLER_EPOCH final "the controller has moved to another broker";
    12 OffsetMetadataTooLarge OFFSET_METADATA_TOO_LARGE final "the metadata beside a committed offset is too large";
    13 NetworkException NETWORK_EXCEPTION retriable "the connection was lost before the answer";
    14 CoordinatorLoadInProgress COORDINATOR_LOAD_IN_PROGRESS retriable "the coordinator is still loading";
    15 CoordinatorNotAvailable COORDINATOR_NOT_AVAILABLE retriable "there is no coordinator just now";
    16 NotCoordinator NOT_COORDINATOR retriable "the broker is not the coordinator of this";
    17 InvalidTopicException INVALID_TOPIC_EXCEPTION final "the topic's name is not one, or the topic is not for users";
    18 RecordListTooLarge RECORD_LIST_TOO_LARGE final "the batch is larger than a segment";
    19 NotEnoughReplicas NOT_ENOUGH_REPLICAS retriable "too few replicas are in sync to write";
    20 NotEnoughReplicasAfterAppend NOT_ENOUGH_REPLICAS_AFTER_APPEND retriable "written, but to fewer replicas in sync than required";
    21 InvalidRequiredAcks INVALID_REQUIRED_ACKS final "acks must be -1, 0 or 1";
    22 IllegalGeneration ILLEGAL_GENERATION final "the group is in another generation";
    23 InconsistentGroupProtocol INCONSISTENT_GROUP_PROTOCOL final "the member's protocols do not go with the group's";
    24 InvalidGroupId INVALID_GROUP_ID final "the group's name cannot be";
    25 UnknownMemberId UNKNOWN_MEMBER_ID final "the group does not know the member";
    26 InvalidSessionTimeout INVALID_SESSION_TIMEOUT final "the session timeout is outside of the broker's limits";
    27 RebalanceInProgress REBALANCE_IN_PROGRESS final "the group is rebalancing: join again";
    28 InvalidCommitOffsetSize INVALID_COMMIT_OFFSET_SIZE final "the size of the committed offset's data cannot be";
    29 TopicAuthorizationFailed TOPIC_AUTHORIZATION_FAILED final "the principal may not do this to the topic";
    30 GroupAuthorizationFailed GROUP_AUTHORIZATION_FAILED final "the principal may not do this to the group";
    31 ClusterAuthorizationFailed CLUSTER_AUTHORIZATION_FAILED final "the principal may not do this to the cluster";
    32 InvalidTimestamp INVALID_TIMESTAMP final "a record's timestamp is outside of what the topic takes";
    33 UnsupportedSaslMechanism UNSUPPORTED_SASL_MECHANISM final "the SASL mechanism is not offered";
    34 IllegalSaslState ILLEGAL_SASL_STATE final "the request does not fit the state of the SASL exchange";
    35 UnsupportedVersion UNSUPPORTED_VERSION final "the API is not spoken in this version";
    36 TopicAlreadyExists TOPIC_ALREADY_EXISTS final "there is a topic of this name already";
    37 InvalidPartitions INVALID_PARTITIONS final "the number of partitions cannot be";
    38 InvalidReplicationFactor INVALID_REPLICATION_FACTOR final "the replication factor is below 1 or above the number of brokers";
    39 InvalidReplicaAssignment INVALID_REPLICA_ASSIGNMENT final "the assignment of replicas cannot be";
    40 InvalidConfig INVALID_CONFIG final "a configuration cannot be";
    41 NotController NOT_CONTROLLER retriable "the broker is not the controller";
    42 InvalidRequest INVALID_REQUEST final "the request makes no sense";
    43 UnsupportedForMessageFormat UNSUPPORTED_FOR_MESSAGE_FORMAT final "the format of the records does not support this";
    44 PolicyViolation POLICY_VIOLATION final "a policy of the broker forbids it";
    45 OutOfOrderSequenceNumber OUT_OF_ORDER_SEQUENCE_NUMBER final "a producer's sequence number does not follow its last one";
    46 DuplicateSequenceNumber DUPLICATE_SEQUENCE_NUMBER final "a producer's sequence number was there before";
    47 InvalidProducerEpoch INVALID_PRODUCER_EPOCH final "the producer's epoch is old";
    48 InvalidTxnState INVALID_TXN_STATE final "the transaction is not in a state for this";
    49 InvalidProducerIdMapping INVALID_PRODUCER_ID_MAPPING final "the producer id does not belong to the transactional id";
    50 InvalidTransactionTimeout INVALID_TRANSACTION_TIMEOUT final "the transaction's timeout is above the broker's limit";
    51 ConcurrentTransactions CONCURRENT_TRANSACTIONS retriable "another operation on the same transaction is under way";
    52 TransactionCoordinatorFenced TRANSACTION_COORDINATOR_FENCED final "the coordinator that sent the marker is no longer the one";
    53 TransactionalIdAuthorizationFailed TRANSACTIONAL_ID_AUTHORIZATION_FAILED final "the principal may not use the transactional id";
    54 SecurityDisabled SECURITY_DISABLED final "the broker has no security configured";
    55 OperationNotAttempted OPERATION_NOT_ATTEMPTED final "the broker did not try this part of the request";
    56 KafkaStorageError KAFKA_STORAGE_ERROR retriable "the broker's disk has failed";
    57 LogDirNotFound LOG_DIR_NOT_FOUND final "the broker has no such log directory";
    58 SaslAuthenticationFailed SASL_AUTHENTICATION_FAILED final "the authentication failed";
    59 UnknownProducerId UNKNOWN_PRODUCER_ID final "the broker does not know the producer id";
    60 ReassignmentInProgress REASSIGNMENT_IN_PROGRESS final "a reassignment of the partition is under way";
    61 DelegationTokenAuthDisabled DELEGATION_TOKEN_AUTH_DISABLED final "the broker has no delegation tokens";
    62 DelegationTokenNotFound DELEGATION_TOKEN_NOT_FOUND final "there is no such delegation token";
    63 DelegationTokenOwnerMismatch DELEGATION_TOKEN_OWNER_MISMATCH final "the delegation token belongs to another principal";
    64 DelegationTokenRequestNotAllowed DELEGATION_TOKEN_REQUEST_NOT_ALLOWED final "delegation tokens cannot be asked for over this connection";
    65 DelegationTokenAuthorizationFailed DELEGATION_TOKEN_AUTHORIZATION_FAILED final "the principal may not use the delegation token";
    66 DelegationTokenExpired DELEGATION_TOKEN_EXPIRED final "the delegation token has expired";
    67 InvalidPrincipalType INVALID_PRINCIPAL_TYPE final "the type of the principal is not supported";
    68 NonEmptyGroup NON_EMPTY_GROUP final "the group has members";
    69 GroupIdNotFound GROUP_ID_NOT_FOUND final "there is no such group";
    70 FetchSessionIdNotFound FETCH_SESSION_ID_NOT_FOUND retriable "there is no such fetch session";
    71 InvalidFetchSessionEpoch INVALID_FETCH_SESSION_EPOCH retriable "the fetch session is in another epoch";
    72 ListenerNotFound LISTENER_NOT_FOUND retriable "the leader has no listener of the name that the request came to";
    73 TopicDeletionDisabled TOPIC_DELETION_DISABLED final "deleting topics is disabled";
    74 FencedLeaderEpoch FENCED_LEADER_EPOCH retriable "the leader epoch of the request is older than the broker's";
    75 UnknownLeaderEpoch UNKNOWN_LEADER_EPOCH retriable "the leader epoch of the request is newer than the broker's";
    76 UnsupportedCompressionType UNSUPPORTED_COMPRESSION_TYPE final "the client does not know the compression of the records";
    77 StaleBrokerEpoch STALE_BROKER_EPOCH final "the broker's epoch has changed";
    78 OffsetNotAvailable OFFSET_NOT_AVAILABLE retriable "the offset is not known for certain just after an election";
    79 MemberIdRequired MEMBER_ID_REQUIRED final "the member needs an id before it joins: join again with the one in the answer";
    80 PreferredLeaderNotAvailable PREFERRED_LEADER_NOT_AVAILABLE retriable "the preferred leader is not available";
    81 GroupMaxSizeReached GROUP_MAX_SIZE_REACHED final "the group is full";
    82 FencedInstanceId FENCED_INSTANCE_ID final "another member has taken the instance id";
    83 EligibleLeadersNotAvailable ELIGIBLE_LEADERS_NOT_AVAILABLE retriable "no eligible leader is available";
    84 ElectionNotNeeded ELECTION_NOT_NEEDED retriable "the partition has the leader that it should have";
    85 NoReassignmentInProgress NO_REASSIGNMENT_IN_PROGRESS final "no reassignment of the partition is under way";
    86 GroupSubscribedToTopic GROUP_SUBSCRIBED_TO_TOPIC final "the group is subscribed to the topic";
    87 InvalidRecord INVALID_RECORD final "a record is refused by the topic's rules";
    88 UnstableOffsetCommit UNSTABLE_OFFSET_COMMIT retriable "offsets of a transaction that is not decided yet are in the way";
    89 ThrottlingQuotaExceeded THROTTLING_QUOTA_EXCEEDED retriable "a quota is exhausted";
    90 ProducerFenced PRODUCER_FENCED final "a newer producer has the transactional id";
    91 ResourceNotFound RESOURCE_NOT_FOUND final "the resource does not exist";
    92 DuplicateResource DUPLICATE_RESOURCE final "the request names a resource twice";
    93 UnacceptableCredential UNACCEPTABLE_CREDENTIAL final "the credential does not meet the requirements";
    94 InconsistentVoterSet INCONSISTENT_VOTER_SET final "sender and receiver do not agree on the voters";
    95 InvalidUpdateVersion INVALID_UPDATE_VERSION final "the version to update to cannot be";
    96 FeatureUpdateFailed FEATURE_UPDATE_FAILED final "the features could not be updated";
    97 PrincipalDeserializationFailure PRINCIPAL_DESERIALIZATION_FAILURE final "the principal of a forwarded request could not be read";
    98 SnapshotNotFound SNAPSHOT_NOT_FOUND final "there is no such snapshot";
    99 PositionOutOfRange POSITION_OUT_OF_RANGE final "the position is outside of the snapshot";
    100 UnknownTopicId UNKNOWN_TOPIC_ID retriable "the broker has no topic with this id";
    101 DuplicateBrokerRegistration DUPLICATE_BROKER_REGISTRATION final "another broker has this id";
    102 BrokerIdNotRegistered BROKER_ID_NOT_REGISTERED final "no broker has registered with this id";
    103 InconsistentTopicId INCONSISTENT_TOPIC_ID retriable "the topic's id is another one";
    104 InconsistentClusterId INCONSISTENT_CLUSTER_ID final "the cluster's id is another one";
    105 TransactionalIdNotFound TRANSACTIONAL_ID_NOT_FOUND final "there is no such transactional id";
    106 FetchSessionTopicIdError FETCH_SESSION_TOPIC_ID_ERROR retriable "topic ids and names are mixed in the fetch session";
    107 IneligibleReplica INELIGIBLE_REPLICA final "a replica is not eligible to be in sync";
    108 NewLeaderElected NEW_LEADER_ELECTED final "a new leader was elected meanwhile";
    109 OffsetMovedToTieredStorage OFFSET_MOVED_TO_TIERED_STORAGE final "the offset has moved to tiered storage";
    110 FencedMemberEpoch FENCED_MEMBER_EPOCH final "the member's epoch is fenced: give up all partitions and join again";
    111 UnreleasedInstanceId UNRELEASED_INSTANCE_ID final "another member still has the instance id";
    112 UnsupportedAssignor UNSUPPORTED_ASSIGNOR final "the group does not support the assignor";
    113 StaleMemberEpoch STALE_MEMBER_EPOCH final "the member's epoch is old: retry with the one of the next heartbeat";
    114 MismatchedEndpointType MISMATCHED_ENDPOINT_TYPE final "the request came to the wrong kind of endpoint";
    115 UnsupportedEndpointType UNSUPPORTED_ENDPOINT_TYPE final "this kind of endpoint is not supported";
    116 UnknownControllerId UNKNOWN_CONTROLLER_ID final "there is no controller with this id";
    117 UnknownSubscriptionId UNKNOWN_SUBSCRIPTION_ID final "the telemetry subscription is not known";
    118 TelemetryTooLarge TELEMETRY_TOO_LARGE final "the telemetry is larger than the broker takes";
    119 InvalidRegistration INVALID_REGISTRATION final "the registration of the broker cannot be";
    120 TransactionAbortable TRANSACTION_ABORTABLE final "the transaction cannot go on: abort it";
    121 InvalidRecordState INVALID_RECORD_STATE final "the record is not in a state for this acknowledgement";
    122 ShareSessionNotFound SHARE_SESSION_NOT_FOUND retriable "there is no such share session";
    123 InvalidShareSessionEpoch INVALID_SHARE_SESSION_EPOCH retriable "the share session is in another epoch";
    124 FencedStateEpoch FENCED_STATE_EPOCH final "the share group's state has a newer epoch";
    125 InvalidVoterKey INVALID_VOTER_KEY final "the voter's key is another one";
    126 DuplicateVoter DUPLICATE_VOTER final "the voter is one already";
    127 VoterNotFound VOTER_NOT_FOUND final "there is no such voter";
    128 InvalidRegularExpression INVALID_REGULAR_EXPRESSION final "the regular expression cannot be compiled";
    129 RebootstrapRequired REBOOTSTRAP_REQUIRED final "the client's metadata is too old: start from the bootstrap servers again";
    130 StreamsInvalidTopology STREAMS_INVALID_TOPOLOGY final "the topology cannot be";
    131 StreamsInvalidTopologyEpoch STREAMS_INVALID_TOPOLOGY_EPOCH final "the epoch of the topology cannot be";
    132 StreamsTopologyFenced STREAMS_TOPOLOGY_FENCED final "the topology is of an older epoch";
    133 ShareSessionLimitReached SHARE_SESSION_LIMIT_REACHED retriable "the broker has as many share sessions as it may";
}

impl ErrorCode {
    /// As it stands in a message.
    pub(crate) const fn number(self) -> i16 {
        self as i16
    }

    /// The code that tells a peer of `error`.
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::InvalidTopicName { .. } => Self::InvalidTopicException,
            Error::UnknownTopic { .. } | Error::UnknownPartition { .. } => Self::UnknownTopicOrPartition,
            Error::TopicExists { .. } => Self::TopicAlreadyExists,
            Error::RecordTooLarge { .. } => Self::MessageTooLarge,
            Error::OffsetOutOfRange { .. } => Self::OffsetOutOfRange,
            Error::InvalidRequest { .. } => Self::InvalidRequest,
            Error::InvalidGroup { .. } => Self::InvalidGroupId,
            Error::UnknownGroup { .. } => Self::GroupIdNotFound,
            Error::StaleMember { .. } => Self::UnknownMemberId,
            Error::GroupNotEmpty { .. } => Self::NonEmptyGroup,
            Error::GroupRefused { refusal, .. } => Self::from_number(refusal.code()),
            Error::LeaseLost { .. } => Self::InvalidRecordState,
            Error::OutOfOrderSequence { .. } => Self::OutOfOrderSequenceNumber,
            Error::ProducerFenced { .. } => Self::ProducerFenced,
            Error::StaleProducerEpoch { .. } => Self::InvalidProducerEpoch,
            Error::UnknownProducer { .. } => Self::InvalidProducerIdMapping,
            Error::ConcurrentTransactions { .. } => Self::ConcurrentTransactions,
            Error::InvalidTransactionState { .. } => Self::InvalidTxnState,
            Error::InvalidTransactionTimeout { .. } => Self::InvalidTransactionTimeout,
            Error::TransactionAbortable { .. } => Self::TransactionAbortable,
            Error::UnknownTransactionalId { .. } => Self::TransactionalIdNotFound,
            Error::Refused { code, .. } => Self::from_number(*code),
            Error::InvalidConfig { .. } => Self::InvalidConfig,
            Error::InvalidPartitions { .. } => Self::InvalidPartitions,
            Error::InvalidReplicationFactor { .. } => Self::InvalidReplicationFactor,
            Error::InvalidReplicaAssignment { .. } => Self::InvalidReplicaAssignment,
            Error::UnknownTopicId { .. } => Self::UnknownTopicId,
            Error::NotAuthorized { resource_type, .. } => match resource_type {
                ResourceType::Topic => Self::TopicAuthorizationFailed,
                ResourceType::Group => Self::GroupAuthorizationFailed,
                ResourceType::TransactionalId => Self::TransactionalIdAuthorizationFailed,
                ResourceType::DelegationToken => Self::DelegationTokenAuthorizationFailed,
                _ => Self::ClusterAuthorizationFailed,
            },
            Error::AuthenticationFailed { .. } => Self::SaslAuthenticationFailed,
            Error::UnacceptableCredential { .. } => Self::UnacceptableCredential,
            Error::ResourceNotFound { .. } => Self::ResourceNotFound,
            Error::DuplicateResource { .. } => Self::DuplicateResource,
            Error::InvalidRecord { .. } => Self::InvalidRecord,
            Error::InvalidTimestamp { .. } => Self::InvalidTimestamp,
            Error::ElectionNotNeeded { .. } => Self::ElectionNotNeeded,
            Error::NoReassignment { .. } => Self::NoReassignmentInProgress,
            Error::FeatureUpdateFailed { .. } => Self::FeatureUpdateFailed,
            Error::Unsupported { .. } => Self::UnsupportedVersion,
            Error::NotEnoughReplicas { .. } => Self::NotEnoughReplicas,
            Error::Malformed { .. } => Self::CorruptMessage,
            // What is wrong with the disk concerns its operator. The client may find another replica.
            Error::DiskFull { .. } | Error::Corrupt { .. } | Error::Fenced { .. } | Error::Io { .. } => {
                Self::KafkaStorageError
            }
            Error::Closed => Self::BrokerNotAvailable,
            Error::Unreachable { .. } => Self::NetworkException,
            // These end an attempt to open a log, or to listen: no peer is there to be told.
            Error::DirectoryInUse { .. }
            | Error::UnsupportedFormat { .. }
            | Error::AddressInUse { .. }
            | Error::ExposedListener { .. } => Self::UnknownServerError,
        }
    }

    /// The error that a peer's answer is; `None` of [`ErrorCode::None`]. `subject` is the name of what was asked about, and
    /// `message` what the peer said besides.
    pub(crate) fn error(self, subject: &str, message: Option<&str>) -> Option<Error> {
        let name = || subject.to_owned();
        let why = || message.unwrap_or(self.message()).to_owned();
        Some(match self {
            Self::None => return None,
            Self::UnknownTopicOrPartition => Error::UnknownTopic { name: name(), did_you_mean: None },
            Self::InvalidTopicException => Error::InvalidTopicName { name: name(), why: why() },
            Self::TopicAlreadyExists if let Ok(name) = TopicName::new(subject) => Error::TopicExists { name },
            Self::InvalidRequest => Error::InvalidRequest { why: why() },
            Self::InvalidConfig => Error::InvalidConfig { name: name(), why: why() },
            Self::InvalidPartitions => Error::InvalidPartitions { why: why() },
            Self::InvalidReplicaAssignment => Error::InvalidReplicaAssignment { why: why() },
            Self::SaslAuthenticationFailed => Error::AuthenticationFailed { why: why() },
            Self::UnacceptableCredential => Error::UnacceptableCredential { why: why() },
            Self::InvalidTimestamp => Error::InvalidTimestamp { why: why() },
            Self::InvalidRecord => Error::InvalidRecord { why: why(), records: Vec::new() },
            Self::FeatureUpdateFailed => Error::FeatureUpdateFailed { feature: name(), why: why() },
            Self::InvalidGroupId => Error::InvalidGroup { group: name() },
            Self::GroupIdNotFound => Error::UnknownGroup { group: name(), did_you_mean: None },
            Self::UnknownMemberId => Error::StaleMember { group: name(), why: why() },
            Self::InvalidTxnState => Error::InvalidTransactionState { why: why() },
            Self::TransactionAbortable => Error::TransactionAbortable { why: why() },
            Self::ProducerFenced if let Ok(transactional_id) = TransactionalId::new(subject) => {
                Error::ProducerFenced { transactional_id, producer: UNTOLD, why: why() }
            }
            Self::ConcurrentTransactions if let Ok(transactional_id) = TransactionalId::new(subject) => {
                Error::ConcurrentTransactions { transactional_id, why: why() }
            }
            Self::TransactionalIdNotFound if let Ok(transactional_id) = TransactionalId::new(subject) => {
                Error::UnknownTransactionalId { transactional_id }
            }
            code if let Some(refusal) = GroupRefusal::of_code(code.number()) => {
                Error::GroupRefused { group: name(), refusal }
            }
            _ => Error::Refused {
                code: self.number(),
                name: self.name(),
                subject: name(),
                why: why(),
                kind: self.kind(),
            },
        })
    }

    /// What the caller should do, for the codes that have no error of their own.
    const fn kind(self) -> ErrorKind {
        match self {
            Self::TopicAlreadyExists | Self::DuplicateResource => ErrorKind::AlreadyExists,
            Self::ResourceNotFound | Self::TransactionalIdNotFound | Self::LogDirNotFound => ErrorKind::NotFound,
            Self::TopicAuthorizationFailed
            | Self::GroupAuthorizationFailed
            | Self::ClusterAuthorizationFailed
            | Self::TransactionalIdAuthorizationFailed
            | Self::DelegationTokenAuthorizationFailed => ErrorKind::Denied,
            Self::NonEmptyGroup | Self::ReassignmentInProgress | Self::GroupSubscribedToTopic => ErrorKind::Busy,
            Self::ProducerFenced | Self::InvalidProducerEpoch | Self::TransactionCoordinatorFenced => ErrorKind::Fenced,
            Self::OffsetOutOfRange
            | Self::IllegalGeneration
            | Self::RebalanceInProgress
            | Self::FencedInstanceId
            | Self::FencedMemberEpoch
            | Self::StaleMemberEpoch
            | Self::UnknownProducerId
            | Self::InvalidRecordState
            | Self::RebootstrapRequired => ErrorKind::Stale,
            Self::UnknownServerError | Self::BrokerNotAvailable => ErrorKind::Io,
            _ if self.is_retriable() => ErrorKind::Retriable,
            _ => ErrorKind::InvalidInput,
        }
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> i16 {
        code.number()
    }
}

impl From<&Error> for ErrorCode {
    fn from(error: &Error) -> Self {
        Self::of(error)
    }
}

/// Kafka's name.
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::error::ResponseError;

    #[test]
    fn codes_are_kafkas() {
        assert_eq!(ErrorCode::ALL.len(), 135);
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), code);
            let Some(theirs) = ResponseError::try_from_code(code.number()) else {
                assert_eq!(code, ErrorCode::None);
                continue;
            };
            assert_eq!(format!("{theirs}"), format!("{code:?}"));
            // Retriable since Kafka 4.2; theirs is of 4.1.
            if code != ErrorCode::ConcurrentTransactions {
                assert_eq!(theirs.is_retriable(), code.is_retriable(), "{code}");
            }
        }
        assert_eq!(ErrorCode::from_number(4711), ErrorCode::UnknownServerError);
        assert_eq!(ErrorCode::NotCoordinator.to_string(), "NOT_COORDINATOR");
    }

    #[test]
    fn a_code_survives_being_an_error() {
        for &code in &ErrorCode::ALL[2..] {
            let error = code.error("flights", Some("because")).unwrap();
            assert_eq!(ErrorCode::of(&error), code, "{error}");
            if matches!(error, Error::Refused { .. }) && code.is_retriable() {
                assert!(error.is_retriable(), "{error}");
            }
        }
        assert!(ErrorCode::None.error("flights", None).is_none());
        let refused = ErrorCode::NotCoordinator.error("g", None).unwrap().to_string();
        assert_eq!(refused, "g: the broker is not the coordinator of this (NOT_COORDINATOR)");
    }
}
