//! Named indexes and retention rules: copied to all partitions, so that each can answer alone.

use leftfold_api::{AppendError, IndexDefinition, IndexInfo, ReadError, RetentionRule};

use super::{Part, PartitionedStore};

impl<S: Part> PartitionedStore<S> {
    /// Defines an index in partition 0 last: it is known once every partition lists its events.
    pub(super) async fn define(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        let _turn = self.shared.changes.lock().await;
        let (first, others) = (self.shared.first(), self.partitions().skip(1));
        definition.check()?;
        if first.index(&definition.name).await?.is_none() {
            for store in others {
                store.define_index(definition.clone()).await?;
            }
        }
        first.define_index(definition).await
    }

    /// Drops an index in partition 0 first: no read of many partitions begins with it then.
    pub(super) async fn undefine(&self, name: &str) -> Result<(), AppendError> {
        let _turn = self.shared.changes.lock().await;
        let (first, others) = (self.shared.first(), self.partitions().skip(1));
        first.drop_index(name).await?;
        for store in others {
            store.drop_index(name).await?;
        }
        Ok(())
    }

    pub(super) async fn index_info(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        let (first, others) = (self.shared.first(), self.partitions().skip(1));
        let Some(mut info) = first.index(name).await? else { return Ok(None) };
        for store in others {
            if let Some(part) = store.index(name).await? {
                info.events += part.events;
                info.ready &= part.ready;
            }
        }
        Ok(Some(info))
    }

    pub(super) async fn index_infos(&self) -> Result<Vec<IndexInfo>, ReadError> {
        let mut infos = Vec::new();
        for info in self.shared.first().indexes().await? {
            infos.extend(self.index_info(&info.name).await?);
        }
        Ok(infos)
    }

    /// Partition 0 checks a rule before the others get it.
    pub(super) async fn define_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        let _turn = self.shared.changes.lock().await;
        for store in self.partitions() {
            store.set_retention_rule(rule.clone()).await?;
        }
        Ok(())
    }

    pub(super) async fn drop_rule(&self, name: &str) -> Result<(), AppendError> {
        let _turn = self.shared.changes.lock().await;
        for store in self.partitions() {
            store.drop_retention_rule(name).await?;
        }
        Ok(())
    }
}
