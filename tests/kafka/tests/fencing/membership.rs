//! Static members of a consumer group, request by request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use leftfold_kafka::{Client, Group, GroupGeneration, GroupJoin, KafkaError, ResponseError};
use tokio::runtime::Runtime;

use crate::support::{PATIENCE, fresh, one_broker};

/// The least session timeout that brokers allow by default.
const SESSION: Duration = Duration::from_secs(6);

fn client() -> Arc<Client> {
    let bootstrap = one_broker().cluster.bootstrap();
    Arc::new(Client::new(&bootstrap, Duration::from_secs(10)).unwrap())
}

fn request(member_id: &str, metadata: &'static str) -> GroupJoin {
    GroupJoin {
        member_id: member_id.to_owned(),
        protocol_type: "leftfold".to_owned(),
        protocol: "sticky".to_owned(),
        metadata: metadata.into(),
        session_timeout: SESSION,
        rebalance_timeout: Duration::from_secs(10),
    }
}

/// Joins; waits while the coordinator of a new cluster is not ready.
async fn join(group: &Group, join: &GroupJoin) -> Result<GroupGeneration, KafkaError> {
    let started = Instant::now();
    loop {
        match group.join(join).await {
            Err(error) if error.is_retriable() && started.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            joined => return joined,
        }
    }
}

/// Sends heartbeats until the coordinator answers with an error.
async fn beat(group: &Group, generation: &GroupGeneration) -> Option<ResponseError> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Err(error) = group.heartbeat(generation).await {
            return error.code();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

#[test]
fn members_join_are_assigned_and_leave() {
    let name = fresh("group");
    let (a, b) = (Group::new(client(), &name, "node-a"), Group::new(client(), &name, "node-b"));
    Runtime::new().unwrap().block_on(async {
        let first = join(&a, &request("", "of a")).await.unwrap();
        assert!(first.is_leader() && first.members.len() == 1 && !first.keeps_assignments);
        assert_eq!(first.members[0].metadata, "of a");
        let own = vec![(first.member_id.clone(), Bytes::from("all"))];
        assert_eq!(a.sync(&request("", "of a"), &first, own).await.unwrap(), "all");
        a.heartbeat(&first).await.unwrap();

        let (again, other) = (request(&first.member_id, "of a"), request("", "of b"));
        let back = async {
            assert_eq!(beat(&a, &first).await, Some(ResponseError::RebalanceInProgress));
            join(&a, &again).await.unwrap()
        };
        let (second, joined) = tokio::join!(back, join(&b, &other));
        let joined = joined.unwrap();
        assert_eq!(second.generation, joined.generation);
        assert!(second.is_leader() && !joined.is_leader());
        let names: Vec<_> =
            second.members.iter().map(|one| one.instance_id.clone().unwrap()).collect();
        assert_eq!((names.len(), names.contains(&"node-b".to_owned())), (2, true));

        let assignments: Vec<_> = second
            .members
            .iter()
            .map(|one| (one.member_id.clone(), Bytes::from(one.instance_id.clone().unwrap())))
            .collect();
        let (of_a, of_b) =
            tokio::join!(a.sync(&again, &second, assignments), b.sync(&other, &joined, Vec::new()));
        assert_eq!((of_a.unwrap(), of_b.unwrap()), ("node-a".into(), "node-b".into()));

        // A member that leaves ends the generation for the others at once.
        let since = Instant::now();
        b.leave(&joined).await.unwrap();
        assert_eq!(beat(&a, &second).await, Some(ResponseError::RebalanceInProgress));
        assert!(since.elapsed() < SESSION);
        let third = join(&a, &again).await.unwrap();
        assert_eq!(third.members.len(), 1);
    });
}

#[test]
fn another_process_with_the_same_instance_id_fences_the_former_one() {
    let name = fresh("group");
    let former = Group::new(client(), &name, "node-a");
    let next = Group::new(client(), &name, "node-a");
    Runtime::new().unwrap().block_on(async {
        let first = join(&former, &request("", "former")).await.unwrap();
        let own = vec![(first.member_id.clone(), Bytes::from("all"))];
        former.sync(&request("", "former"), &first, own).await.unwrap();
        join(&next, &request("", "next")).await.unwrap();
        assert_eq!(beat(&former, &first).await, Some(ResponseError::FencedInstanceId));
    });
}
