//! The floods. Each is a function that runs until it is dropped.

mod broad_reads;
mod conditions;
mod halves;
mod idle;
mod json;
mod pages;
mod passwords;
mod slots;
mod slow;
mod subscriptions;
mod windows;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::served::Target;

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A flood.
pub(crate) struct Flood {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Arc<Target>) -> Running,
}

/// All floods, in the order in which they run.
pub(crate) const FLOODS: [Flood; 11] = [
    Flood { name: "slots", run: |target| Box::pin(slots::run(target)) },
    Flood { name: "halves", run: |target| Box::pin(halves::run(target)) },
    Flood { name: "json", run: |target| Box::pin(json::run(target)) },
    Flood { name: "windows", run: |target| Box::pin(windows::run(target)) },
    Flood { name: "pages", run: |target| Box::pin(pages::run(target)) },
    Flood { name: "slow", run: |target| Box::pin(slow::run(target)) },
    Flood { name: "subscribers", run: |target| Box::pin(subscriptions::run(target)) },
    Flood { name: "idle", run: |target| Box::pin(idle::run(target)) },
    Flood { name: "conditions", run: |target| Box::pin(conditions::run(target)) },
    Flood { name: "broad-reads", run: |target| Box::pin(broad_reads::run(target)) },
    Flood { name: "passwords", run: |target| Box::pin(passwords::run(target)) },
];

/// All floods at once.
pub(crate) async fn all(target: Arc<Target>) {
    join_all(FLOODS.iter().map(|flood| (flood.run)(target.clone()))).await;
}
