use std::collections::HashSet;

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    GroupId, ListGroupsRequest, ListGroupsResponse,
};
use leftfold_kafka::ResponseError;

use super::offsets::code_of;
use crate::kafka::dispatch::Call;
use crate::kafka::metadata::text;

/// The state of a group that has offsets and no members.
const EMPTY: &str = "Empty";
/// The state of a group that does not exist.
const DEAD: &str = "Dead";
/// The kind of all groups here.
const CLASSIC: &str = "classic";
/// Operations that were not asked for.
const NOT_ASKED: i32 = i32::MIN;
/// Reading, deleting and describing a group, as bits.
const OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;
/// The first version with an error for a group that does not exist.
const NOT_FOUND: i16 = 6;

impl Call {
    pub(in crate::kafka) async fn describe_groups(
        self,
        request: DescribeGroupsRequest,
    ) -> DescribeGroupsResponse {
        let mut groups = Vec::new();
        // Each is described once: its members take a lot more than its name.
        let mut seen = HashSet::new();
        for id in request.groups.into_iter().filter(|id| seen.insert(id.clone())) {
            let coordination = match self.caller.can_see_group(&id) {
                true => self.broker.nodes.coordination(),
                false => Err(ResponseError::GroupAuthorizationFailed),
            };
            let mut group = match coordination {
                Ok(coordination) => coordination.groups.describe(&id),
                Err(error) => DescribedGroup::default()
                    .with_group_id(id.clone())
                    .with_error_code(error.code()),
            };
            if &*group.group_state == DEAD {
                let has_offsets =
                    self.broker.offsets.of(&id).await.is_ok_and(|offsets| !offsets.is_empty());
                if has_offsets {
                    group.group_state = text(EMPTY);
                    group.protocol_type = text("consumer");
                } else if self.version >= NOT_FOUND {
                    group.error_code = ResponseError::GroupIdNotFound.code();
                    group.error_message = Some(text("there is no such group"));
                }
            }
            group.authorized_operations = match request.include_authorized_operations {
                true => OPERATIONS,
                false => NOT_ASKED,
            };
            groups.push(group);
        }
        DescribeGroupsResponse::default().with_groups(groups)
    }

    pub(in crate::kafka) async fn list_groups(
        self,
        request: ListGroupsRequest,
    ) -> ListGroupsResponse {
        // Clients ask all brokers, and each tells of its own groups.
        let coordination = match self.broker.nodes.coordination() {
            Ok(coordination) => coordination,
            Err(ResponseError::NotCoordinator) => return ListGroupsResponse::default(),
            Err(error) => return ListGroupsResponse::default().with_error_code(error.code()),
        };
        let mut groups = coordination.groups.list();
        match self.broker.offsets.groups().await {
            Ok(names) => {
                let known: HashSet<_> =
                    groups.iter().map(|group| group.group_id.to_string()).collect();
                groups.extend(names.into_iter().filter(|name| !known.contains(name)).map(|name| {
                    ListedGroup::default()
                        .with_group_id(GroupId(text(name)))
                        .with_protocol_type(text("consumer"))
                        .with_group_state(text(EMPTY))
                        .with_group_type(text(CLASSIC))
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "the consumer groups can't be listed");
                let code = ResponseError::CoordinatorNotAvailable.code();
                return ListGroupsResponse::default().with_error_code(code);
            }
        }
        let is_among = |wanted: &[kafka_protocol::protocol::StrBytes], found: &str| {
            wanted.is_empty() || wanted.iter().any(|one| one.eq_ignore_ascii_case(found))
        };
        groups.retain(|group| {
            self.caller.can_see_group(&group.group_id)
                && is_among(&request.states_filter, &group.group_state)
                && is_among(&request.types_filter, &group.group_type)
        });
        for group in &mut groups {
            if self.version < 4 {
                group.group_state = text("");
            }
            if self.version < 5 {
                group.group_type = text("");
            }
        }
        ListGroupsResponse::default().with_groups(groups)
    }

    pub(in crate::kafka) async fn delete_groups(
        self,
        request: DeleteGroupsRequest,
    ) -> DeleteGroupsResponse {
        let mut results = Vec::new();
        for id in request.groups_names {
            let deleted = self.delete_group(&id).await;
            let code = deleted.err().map_or(0, |error| error.code());
            results.push(DeletableGroupResult::default().with_group_id(id).with_error_code(code));
        }
        DeleteGroupsResponse::default().with_results(results)
    }

    async fn delete_group(&self, id: &str) -> Result<(), ResponseError> {
        let coordination = self.coordination_of(id)?;
        let unavailable = |error| code_of(&error);
        let has_offsets = !self.broker.offsets.of(id).await.map_err(unavailable)?.is_empty();
        let is_known = &*coordination.groups.describe(id).group_state != DEAD;
        if !has_offsets && !is_known {
            return Err(ResponseError::GroupIdNotFound);
        }
        coordination.groups.remove(id)?;
        match has_offsets {
            true => self
                .broker
                .offsets
                .change(id, coordination.term, std::collections::BTreeMap::clear)
                .await
                .map_err(unavailable),
            false => Ok(()),
        }
    }
}
