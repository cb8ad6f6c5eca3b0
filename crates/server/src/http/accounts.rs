//! Users, groups, tokens and grants. All but a change of the own password needs manage on `*`.

use std::fmt;

use axum::Json;
use axum::http::StatusCode;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::extract::{JsonBody, PathParams, RequestCaller};
use super::problem::Problem;
use crate::access::{Action, GrantInfo, Grantee, GroupInfo, Secret, TokenInfo, UserInfo};

/// The statuses of what was created, and of what was changed or removed.
const MADE: StatusCode = StatusCode::CREATED;
const DONE: StatusCode = StatusCode::NO_CONTENT;

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    from.deserialize_any(SecretVisitor)
}

/// Takes text, and quotes nothing that was sent in its errors.
struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a password, which is text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(text.to_owned().into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Secret, E> {
        Ok(text.into())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Err(E::custom("a password is text"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Err(E::custom("a password is text"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Err(E::custom("a password is text"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Err(E::custom("a password is text"))
    }
}

fn maybe_secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    secret(from).map(Some)
}

/// A user to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    /// Its name.
    #[schema(min_length = 1, max_length = 128, example = "ann")]
    user: String,
    /// Its password; without one only tokens authenticate it.
    #[serde(default, deserialize_with = "maybe_secret")]
    #[schema(value_type = Option<String>, min_length = 8, max_length = 1024)]
    password: Option<Secret>,
}

/// A new password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// The password.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, min_length = 8, max_length = 1024)]
    password: Secret,
}

/// A group to be added.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGroup {
    /// Its name.
    #[schema(min_length = 1, max_length = 128, example = "clerks")]
    group: String,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// Its name.
    #[schema(min_length = 1, max_length = 128, example = "billing-1")]
    token: String,
    /// The user that it authenticates.
    #[schema(min_length = 1, max_length = 128, example = "billing")]
    user: String,
    /// When it expires, such as `2027-01-01T00:00:00Z`; never, if not given.
    #[schema(format = "date-time")]
    until: Option<String>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeToken {
    /// Its name.
    token: String,
    /// What to send as `Authorization: Bearer ...`. It is shown only once.
    secret: String,
}

/// A grant to be added: to a user or to a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGrant {
    /// The user to whom it is granted.
    #[schema(min_length = 1, example = "ann")]
    user: Option<String>,
    /// The group to which it is granted.
    #[schema(min_length = 1)]
    group: Option<String>,
    /// The action that is granted.
    action: Action,
    /// The events that are covered: `*`, or streams, prefixes, categories and tags joined by `or`.
    #[schema(max_length = 65536, example = "category:order")]
    scope: String,
}

/// A grant that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeGrant {
    /// Its number.
    grant: u64,
}

/// The users, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct UsersAnswer {
    /// The users.
    users: Vec<UserInfo>,
}

/// The groups, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupsAnswer {
    /// The groups.
    groups: Vec<GroupInfo>,
}

/// The tokens, by name.
#[derive(Serialize, ToSchema)]
pub(super) struct TokensAnswer {
    /// The tokens.
    tokens: Vec<TokenInfo>,
}

/// The grants, by number.
#[derive(Serialize, ToSchema)]
pub(super) struct GrantsAnswer {
    /// The grants.
    grants: Vec<GrantInfo>,
}

/// List the users.
#[utoipa::path(
    get, path = "/v1/users", tag = "accounts", operation_id = "list_users",
    responses((status = 200, description = "The users, by name", body = UsersAnswer))
)]
pub(super) async fn list_users(
    RequestCaller(caller): RequestCaller,
) -> Result<Json<UsersAnswer>, Problem> {
    Ok(Json(UsersAnswer { users: caller.users()? }))
}

/// Add a user. The first may do everything; from then on every request needs credentials.
#[utoipa::path(
    post, path = "/v1/users", tag = "accounts", operation_id = "add_user", request_body = NewUser,
    responses((status = 201, description = "Added"))
)]
pub(super) async fn add_user(
    RequestCaller(caller): RequestCaller,
    body: JsonBody<NewUser>,
) -> Result<StatusCode, Problem> {
    caller.add_user(&body.content.user, body.content.password.as_ref()).await?;
    Ok(MADE)
}

/// Change the own password, or with manage on `*` that of any user. Connections that use the old
/// password are closed.
#[utoipa::path(
    put, path = "/v1/users/{user}/password", tag = "accounts", operation_id = "change_password",
    params(("user" = String, Path, description = "The user", min_length = 1)),
    request_body = NewPassword, responses((status = 204, description = "Changed"))
)]
pub(super) async fn change_password(
    RequestCaller(caller): RequestCaller,
    PathParams(user): PathParams<String>,
    body: JsonBody<NewPassword>,
) -> Result<StatusCode, Problem> {
    caller.change_password(&user, &body.content.password).await?;
    Ok(DONE)
}

/// Remove a user, with its tokens, memberships and grants.
#[utoipa::path(
    delete, path = "/v1/users/{user}", tag = "accounts", operation_id = "remove_user",
    params(("user" = String, Path, description = "The user", min_length = 1)),
    responses((status = 204, description = "Removed"))
)]
pub(super) async fn remove_user(
    RequestCaller(caller): RequestCaller,
    PathParams(user): PathParams<String>,
) -> Result<StatusCode, Problem> {
    caller.remove_user(&user).await?;
    Ok(DONE)
}

/// List the groups.
#[utoipa::path(
    get, path = "/v1/groups", tag = "accounts", operation_id = "list_groups",
    responses((status = 200, description = "The groups, by name", body = GroupsAnswer))
)]
pub(super) async fn list_groups(
    RequestCaller(caller): RequestCaller,
) -> Result<Json<GroupsAnswer>, Problem> {
    Ok(Json(GroupsAnswer { groups: caller.groups()? }))
}

/// Add a group.
#[utoipa::path(
    post, path = "/v1/groups", tag = "accounts", operation_id = "add_group",
    request_body = NewGroup, responses((status = 201, description = "Added"))
)]
pub(super) async fn add_group(
    RequestCaller(caller): RequestCaller,
    body: JsonBody<NewGroup>,
) -> Result<StatusCode, Problem> {
    caller.add_group(&body.content.group).await?;
    Ok(MADE)
}

/// Remove a group, with its grants.
#[utoipa::path(
    delete, path = "/v1/groups/{group}", tag = "accounts", operation_id = "remove_group",
    params(("group" = String, Path, description = "The group", min_length = 1)),
    responses((status = 204, description = "Removed"))
)]
pub(super) async fn remove_group(
    RequestCaller(caller): RequestCaller,
    PathParams(group): PathParams<String>,
) -> Result<StatusCode, Problem> {
    caller.remove_group(&group).await?;
    Ok(DONE)
}

/// Put a user into a group.
#[utoipa::path(
    put, path = "/v1/groups/{group}/members/{user}", tag = "accounts", operation_id = "add_member",
    params(("group" = String, Path, description = "The group", min_length = 1),
           ("user" = String, Path, description = "The user", min_length = 1)),
    responses((status = 204, description = "It is a member"))
)]
pub(super) async fn add_member(
    RequestCaller(caller): RequestCaller,
    PathParams((group, user)): PathParams<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.add_member(&group, &user).await?;
    Ok(DONE)
}

/// Take a user out of a group.
#[utoipa::path(
    delete, path = "/v1/groups/{group}/members/{user}", tag = "accounts",
    operation_id = "remove_member",
    params(("group" = String, Path, description = "The group", min_length = 1),
           ("user" = String, Path, description = "The user", min_length = 1)),
    responses((status = 204, description = "It is no member"))
)]
pub(super) async fn remove_member(
    RequestCaller(caller): RequestCaller,
    PathParams((group, user)): PathParams<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.remove_member(&group, &user).await?;
    Ok(DONE)
}

/// List the tokens. What they are can't be found out any more.
#[utoipa::path(
    get, path = "/v1/tokens", tag = "accounts", operation_id = "list_tokens",
    responses((status = 200, description = "The tokens, by name", body = TokensAnswer))
)]
pub(super) async fn list_tokens(
    RequestCaller(caller): RequestCaller,
) -> Result<Json<TokensAnswer>, Problem> {
    Ok(Json(TokensAnswer { tokens: caller.tokens()? }))
}

/// Make a token for a user. Its secret is shown only once.
#[utoipa::path(
    post, path = "/v1/tokens", tag = "accounts", operation_id = "create_token",
    request_body = NewToken, responses((status = 201, description = "Made", body = MadeToken))
)]
pub(super) async fn create_token(
    RequestCaller(caller): RequestCaller,
    body: JsonBody<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    let NewToken { token, user, until } = body.content;
    let until = until.as_deref().map(str::parse::<leftfold_api::Timestamp>).transpose()?;
    let made = caller.create_token(&token, &user, until.map(|until| until.0)).await?;
    Ok((MADE, Json(MadeToken { token, secret: made.reveal().to_owned() })))
}

/// Revoke a token. Connections that use it are closed.
#[utoipa::path(
    delete, path = "/v1/tokens/{token}", tag = "accounts", operation_id = "revoke_token",
    params(("token" = String, Path, description = "The token's name", min_length = 1)),
    responses((status = 204, description = "Revoked"))
)]
pub(super) async fn revoke_token(
    RequestCaller(caller): RequestCaller,
    PathParams(token): PathParams<String>,
) -> Result<StatusCode, Problem> {
    caller.revoke_token(&token).await?;
    Ok(DONE)
}

/// List the grants.
#[utoipa::path(
    get, path = "/v1/grants", tag = "accounts", operation_id = "list_grants",
    responses((status = 200, description = "The grants, by number", body = GrantsAnswer))
)]
pub(super) async fn list_grants(
    RequestCaller(caller): RequestCaller,
) -> Result<Json<GrantsAnswer>, Problem> {
    Ok(Json(GrantsAnswer { grants: caller.grants()? }))
}

/// Grant an action to a user or a group. What is granted already keeps its number.
#[utoipa::path(
    post, path = "/v1/grants", tag = "accounts", operation_id = "add_grant",
    request_body = NewGrant, responses((status = 201, description = "Granted", body = MadeGrant))
)]
pub(super) async fn add_grant(
    RequestCaller(caller): RequestCaller,
    body: JsonBody<NewGrant>,
) -> Result<(StatusCode, Json<MadeGrant>), Problem> {
    let to = match (body.content.user, body.content.group) {
        (Some(user), None) => Grantee::User(user),
        (None, Some(group)) => Grantee::Group(group),
        _ => return Err(Problem::new("body_invalid", "a grant is to a user or to a group")),
    };
    let scope = body.content.scope.parse()?;
    let grant = caller.grant(to, body.content.action, &scope).await?;
    Ok((MADE, Json(MadeGrant { grant })))
}

/// Take a grant back.
#[utoipa::path(
    delete, path = "/v1/grants/{grant}", tag = "accounts", operation_id = "remove_grant",
    params(("grant" = u64, Path, description = "The grant's number")),
    responses((status = 204, description = "Taken back"))
)]
pub(super) async fn remove_grant(
    RequestCaller(caller): RequestCaller,
    PathParams(grant): PathParams<u64>,
) -> Result<StatusCode, Problem> {
    caller.remove_grant(grant).await?;
    Ok(DONE)
}
