//! Service tokens make user tokens.

use crate::{agent, code, fields, problem};
use e2e::{Client, Coordinator, World, shared};
use multiclaude_hybrid_client::Error;
use multiclaude_hybrid_protocol::ErrorCode::{Forbidden, TokenNotFound, Unauthenticated};
use multiclaude_hybrid_protocol::Timestamp;
use multiclaude_hybrid_protocol::token::{Token, TokenKind};
use reqwest::Method;
use serde_json::{Value, json};

fn invitation(owner: &str, repos: &[&str]) -> Value {
    json!({"kind": "user", "owner": owner, "repos": repos})
}

/// The detail of a 403.
fn forbidden(result: Result<Token, Error>) -> String {
    let problem = problem(result);
    assert_eq!(problem.code, Forbidden, "{problem:?}");
    problem.detail
}

/// A service token like this, in the hands of a client, and its id.
async fn service(world: &World, wish: Value) -> (Client, String) {
    let mut service = json!({"kind": "service", "owner": "ci", "repos": [world.repo]});
    let wish = wish.as_object().unwrap().clone();
    service.as_object_mut().unwrap().extend(wish);
    let made = world.admin.create_token(&service).await.unwrap();
    let client = world.admin.with_token(made.token.as_deref().unwrap());
    (client, made.id.to_string())
}

async fn listed(world: &World, id: &str) -> Option<Token> {
    let tokens = world.admin.tokens().await.unwrap();
    tokens.into_iter().find(|token| token.id.as_str() == id)
}

#[tokio::test]
async fn a_service_token_makes_a_user_token_for_a_repo_that_it_covers() {
    let world = shared().await.world().await;
    let wish = invitation("eve", &[&world.repo]);
    let made = world.ci.client.create_token(&wish).await.unwrap();
    let eve = world.ci.with_token(made.token.as_deref().unwrap());
    let who = eve.client.whoami().await.unwrap();
    assert_eq!((who.kind, who.owner.as_str()), (TokenKind::User, "eve"));
    assert_eq!(who.repos, made.repos);
    let hers = eve.register(&agent("hers")).await.unwrap();
    assert_eq!(hers.owner.as_str(), "eve");
    // A user is not a service: she acts for her own agents, and cannot invite.
    world.dan.register(&agent("his")).await.unwrap();
    assert_eq!(code(eve.messages("his", "").await), Forbidden);
    assert_eq!(code(eve.client.create_token(&wish).await), Forbidden);
}

#[tokio::test]
async fn a_service_token_of_a_whole_account_invites_to_each_of_its_repos() {
    let world = shared().await.world().await;
    let (service, _) = service(&world, json!({"repos": ["Acme/*", "other/app"]})).await;
    let made = service
        .create_token(&invitation("eve", &["acme/one", "ACME/two", "other/app"]))
        .await
        .unwrap();
    let repos: Vec<_> = made.repos.iter().map(ToString::to_string).collect();
    assert_eq!(repos, ["acme/one", "acme/two", "other/app"]);
    for outside in ["acme2/one", "other/web"] {
        let wish = invitation("eve", &["acme/one", outside]);
        let detail = forbidden(service.create_token(&wish).await);
        assert!(detail.contains(outside), "{detail}");
    }
}

#[tokio::test]
async fn a_token_that_its_maker_may_not_make_is_refused_with_the_reason() {
    let world = shared().await.world().await;
    let (service, user) = (&world.ci.client, &world.dan.client);
    for (maker, wish, why) in [
        (
            service,
            invitation("eve", &[&world.repo, "acme/none"]),
            "user tokens for repos that it covers itself; it does not cover acme/none",
        ),
        (
            service,
            json!({"kind": "service", "owner": "ci", "repos": [world.repo]}),
            "makes user tokens alone, for repos that it covers",
        ),
        (service, json!({"kind": "admin", "owner": "ci"}), "makes user tokens alone"),
        (user, invitation("dan", &[&world.repo]), "with an admin token"),
        // Before anything is said about what it sent.
        (user, json!({}), "with an admin token"),
    ] {
        let detail = forbidden(maker.create_token(&wish).await);
        assert!(detail.contains(why), "{detail}");
    }
}

#[tokio::test]
async fn a_token_made_by_a_service_token_ends_with_it_at_the_latest() {
    let world = shared().await.world().await;
    let end = "2099-06-30T12:00:00.000Z";
    let (ending, _) = service(&world, json!({"expires_at": end})).await;
    let until = async |client: &Client, expires_at: Value| {
        let mut wish = invitation("eve", &[&world.repo]);
        wish["expires_at"] = expires_at;
        client.create_token(&wish).await
    };
    let earlier = "2099-06-30T11:59:59.999Z";
    for (asked, given) in [(Value::Null, end), (json!(end), end), (json!(earlier), earlier)] {
        let made = until(&ending, asked).await.unwrap();
        assert_eq!(made.expires_at, Timestamp::parse(given));
        // And not only in the answer.
        let listed = listed(&world, made.id.as_str()).await.unwrap();
        assert_eq!(listed.expires_at, Timestamp::parse(given));
    }
    let later = until(&ending, json!("2099-06-30T12:00:00.001Z")).await;
    let said = later.as_ref().unwrap_err().to_string();
    assert!(said.contains(end), "{said}");
    assert_eq!(fields(later), ["expires_at"]);

    // A service token without an end sets none, and neither does an admin's end.
    let made = until(&world.ci.client, Value::Null).await.unwrap();
    assert_eq!(made.expires_at, None);
    let admin = json!({"kind": "admin", "owner": "root", "expires_at": end});
    let admin = world.admin.create_token(&admin).await.unwrap();
    let admin = world.admin.with_token(admin.token.as_deref().unwrap());
    let made = until(&admin, Value::Null).await.unwrap();
    assert_eq!(made.expires_at, None);
}

#[tokio::test]
async fn the_list_shows_which_token_made_each_so_that_a_leak_can_be_closed() {
    let world = shared().await.world().await;
    let (service, id) = service(&world, json!({})).await;
    let wish = invitation("eve", &[&world.repo]);
    let made = service.create_token(&wish).await.unwrap();
    assert_eq!(made.created_by.as_deref(), Some(id.as_str()));
    let maker = listed(&world, &id).await.unwrap();
    assert_eq!(maker.created_by.as_deref(), Some("tok_admin"));

    // Its tokens outlive its revocation, and can still be found and revoked.
    world.admin.revoke_token(&id).await.unwrap();
    assert_eq!(code(service.create_token(&wish).await), Unauthenticated);
    let eve = world.admin.with_token(made.token.as_deref().unwrap());
    assert!(eve.whoami().await.is_ok());
    let tokens = world.admin.tokens().await.unwrap();
    let its: Vec<_> =
        tokens.iter().filter(|token| token.created_by.as_ref() == Some(&id)).collect();
    assert_eq!(its.len(), 1);
    world.admin.revoke_token(&its[0].id).await.unwrap();
    assert_eq!(code(world.admin.revoke_token(&its[0].id).await), TokenNotFound);
    assert_eq!(code(eve.whoami().await), Unauthenticated);
}

#[tokio::test]
async fn the_audit_log_names_the_service_that_made_a_token() {
    let world = shared().await.world().await;
    let who = world.ci.client.whoami().await.unwrap();
    assert_eq!(world.admin.whoami().await.unwrap().token_id, "tok_admin");
    let wish = invitation("eve", &[&world.repo]);
    let made = world.ci.client.create_token(&wish).await.unwrap();
    let log = world.ci.call(Method::GET, "/audit?limit=1", &[], None).await;
    let log: Value = log.unwrap().json().unwrap();
    assert_eq!(log[0]["action"], "token.created");
    assert_eq!(log[0]["subject"], made.id.as_str());
    assert_eq!(
        log[0]["actor"],
        json!({"token_id": who.token_id, "kind": "service", "owner": "ci"})
    );
    assert_eq!(log[0]["detail"], json!({"kind": "user", "owner": "eve"}));
}

/// An isolate may believe in a token for 60 s more; D1 decides.
#[tokio::test]
async fn a_service_token_that_is_revoked_at_this_moment_makes_no_token() {
    let (mut coordinator, world) = Coordinator::own().await;
    coordinator.kill();
    // The new owner is noted after the caller was looked up.
    coordinator.execute_sql(
        "CREATE TRIGGER late AFTER INSERT ON principals WHEN new.owner = 'late' \
         BEGIN DELETE FROM tokens WHERE owner = 'ci'; END",
    );
    coordinator.launch().await;
    let before = world.admin.tokens().await.unwrap().len();
    let wish = invitation("late", &[&world.repo]);
    assert_eq!(code(world.ci.client.create_token(&wish).await), Unauthenticated);
    assert_eq!(code(world.ci.client.whoami().await), Unauthenticated);
    assert_eq!(world.admin.tokens().await.unwrap().len(), before - 1);
}
