//! DescribeUserScramCredentials, AlterUserScramCredentials: which users there are. And delegation tokens, which are not
//! given out: whoever asks is told what Kafka says where they are switched off.

use super::{Refusal, check_cluster};
use crate::broker::server::context::Context;
use crate::service::{AlterScramUsers, ByUser, DescribeScramUsers, ScramUpsertion, ScramUser, Service};
use crate::types::{AclOperation, ScramMechanism};
use crate::wire::alter_user_scram_credentials::AlterUserScramCredentialsResult;
use crate::wire::describe_user_scram_credentials::{CredentialInfo, DescribeUserScramCredentialsResult};
use crate::wire::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, CreateDelegationTokenResponse,
    DescribeDelegationTokenResponse, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    ErrorCode, ExpireDelegationTokenResponse, RenewDelegationTokenResponse, Request, Response, Str,
};
use std::collections::BTreeSet;

const NO_TOKENS: i16 = ErrorCode::DelegationTokenAuthDisabled.number();

pub(in crate::broker::server) async fn describe(
    context: &Context,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let refuse = |refusal: Refusal| {
        let (error_code, error_message) = refusal.told();
        DescribeUserScramCredentialsResponse { error_code, error_message, ..Default::default() }
    };
    if let Err(code) = check_cluster(context, AclOperation::Describe) {
        return refuse(code.into());
    }
    // None and an empty list are all.
    let users = request.users.filter(|users| !users.is_empty());
    let users = users.map(|users| users.into_iter().map(|user| user.name.into()).collect());
    let described = match context.broker().describe_scram_users(DescribeScramUsers { users }).await {
        Ok(described) => described,
        Err(error) => return refuse(error.into()),
    };
    let results = described.into_iter().map(|(user, found)| match found {
        Ok(ScramUser { credentials, .. }) => {
            let info = |(mechanism, iterations): (ScramMechanism, u32)| CredentialInfo {
                mechanism: mechanism.code(),
                iterations: i32::try_from(iterations).unwrap_or(i32::MAX),
            };
            let credential_infos = credentials.into_iter().map(info).collect();
            DescribeUserScramCredentialsResult { user: user.into(), credential_infos, ..Default::default() }
        }
        Err(error) => {
            let (error_code, error_message) = Refusal::from(error).told();
            let (user, credential_infos) = (user.into(), Vec::new());
            DescribeUserScramCredentialsResult { user, error_code, error_message, credential_infos }
        }
    });
    DescribeUserScramCredentialsResponse { results: results.collect(), ..Default::default() }
}

pub(in crate::broker::server) async fn alter(
    context: &Context,
    request: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let AlterUserScramCredentialsRequest { deletions, upsertions } = request;
    let deleted = deletions.iter().map(|deletion| (&deletion.name, deletion.mechanism));
    let named = deleted.chain(upsertions.iter().map(|upsertion| (&upsertion.name, upsertion.mechanism)));
    let named: Vec<(Str, i8)> = named.map(|(name, mechanism)| (name.clone(), mechanism)).collect();
    let refuse = |user: Str, refusal: Refusal| {
        let (error_code, error_message) = refusal.told();
        AlterUserScramCredentialsResult { user, error_code, error_message }
    };
    if let Err(code) = check_cluster(context, AclOperation::Alter) {
        let users: BTreeSet<_> = named.into_iter().map(|(user, _)| user).collect();
        let results = users.into_iter().map(|user| refuse(user, code.into()));
        return AlterUserScramCredentialsResponse { results: results.collect(), ..Default::default() };
    }
    // A user is changed as a whole or not at all.
    let is_unknown = |(_, mechanism): &&(Str, i8)| ScramMechanism::from_code(*mechanism).is_none();
    let unknown: BTreeSet<_> = named.iter().filter(is_unknown).map(|(user, _)| user.clone()).collect();
    let mut wanted = AlterScramUsers::default();
    for deletion in deletions {
        if let Some(mechanism) = ScramMechanism::from_code(deletion.mechanism)
            && !unknown.contains(&deletion.name)
        {
            wanted.deletions.push((deletion.name.into(), mechanism));
        }
    }
    for upsertion in upsertions {
        if let Some(mechanism) = ScramMechanism::from_code(upsertion.mechanism)
            && !unknown.contains(&upsertion.name)
        {
            wanted.upsertions.push(ScramUpsertion {
                user: upsertion.name.into(),
                mechanism,
                // What is no number of them is too few.
                iterations: u32::try_from(upsertion.iterations).unwrap_or(0),
                salt: upsertion.salt.to_vec(),
                salted_password: upsertion.salted_password.to_vec(),
            });
        }
    }
    let all: BTreeSet<_> = named.iter().map(|(user, _)| user.clone()).filter(|user| !unknown.contains(user)).collect();
    let altered: ByUser<()> = match context.broker().alter_scram_users(wanted).await {
        Ok(altered) => altered,
        Err(error) => all.into_iter().map(|user| (user.into(), Err(error.clone()))).collect(),
    };
    let altered = altered.into_iter().map(|(user, altered)| match altered {
        Ok(()) => AlterUserScramCredentialsResult { user: user.into(), ..Default::default() },
        Err(error) => refuse(user.into(), error.into()),
    });
    let unknown = unknown.into_iter().map(|user| refuse(user, ErrorCode::UnsupportedSaslMechanism.into()));
    AlterUserScramCredentialsResponse { results: altered.chain(unknown).collect(), ..Default::default() }
}

/// The answer to a request about delegation tokens; `None` to any other.
pub(in crate::broker::server) fn token(request: &Request) -> Option<Response> {
    let error_code = NO_TOKENS;
    Some(match request {
        Request::CreateDelegationToken(_) => {
            Response::CreateDelegationToken(CreateDelegationTokenResponse { error_code, ..Default::default() })
        }
        Request::RenewDelegationToken(_) => {
            Response::RenewDelegationToken(RenewDelegationTokenResponse { error_code, ..Default::default() })
        }
        Request::ExpireDelegationToken(_) => {
            Response::ExpireDelegationToken(ExpireDelegationTokenResponse { error_code, ..Default::default() })
        }
        Request::DescribeDelegationToken(_) => {
            Response::DescribeDelegationToken(DescribeDelegationTokenResponse { error_code, ..Default::default() })
        }
        _ => return None,
    })
}
