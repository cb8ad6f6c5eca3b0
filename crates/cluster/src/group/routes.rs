//! The table of all nodes and partitions that the leader of the group gives to every member.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::MetadataError;
use super::assign::Placement;
use super::config::check_name;
use super::profile::{Profile, check_addresses, check_size, check_version};

/// The most bytes of a table as it is sent. Kafka stores one for each member in a record of at most 1 MiB, by default.
const TABLE_LIMIT: usize = 512 << 10;

/// The most bytes of a table in memory while it is decoded: over 50,000 partitions.
const JSON_LIMIT: usize = 2 << 20;

const VERSION: u32 = 1;
const WHAT: &str = "the table of routes";
const LEVEL: i32 = 3;

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The node's name, which is unique in the cluster.
    pub name: String,
    /// The URL under which other nodes and clients reach it.
    pub url: String,
    /// The address at which Kafka's clients reach it, as `host:port`, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<String>,
    /// The node is about to leave and hands its partitions over.
    #[serde(rename = "draining", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_draining: bool,
}

/// The nodes of all partitions in one generation of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    generation: i32,
    nodes: Vec<Node>,
    /// For each partition the owner, then the standbys, as indexes of `nodes`.
    routes: Vec<Vec<u32>>,
    /// Partitions that should move, and to which node.
    moves: BTreeMap<u32, u32>,
}

/// The bytes: JSON, compressed by zstd. Unknown fields are ignored.
#[derive(Serialize, Deserialize)]
struct Wire {
    version: u32,
    generation: i32,
    nodes: Vec<Node>,
    routes: Vec<Vec<u32>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    moves: Vec<(u32, u32)>,
}

impl RouteTable {
    /// Makes the table of a generation. Nodes that are not members are left out.
    pub fn new(
        generation: i32,
        members: &BTreeMap<String, Profile>,
        placements: &[Placement],
    ) -> Self {
        let nodes = members.iter().map(|(name, profile)| Node {
            name: name.clone(),
            url: profile.url.clone(),
            kafka: profile.kafka.clone(),
            is_draining: profile.is_draining,
        });
        let indexes: BTreeMap<&str, u32> = members.keys().map(String::as_str).zip(0..).collect();
        let index = |name: &String| indexes.get(name.as_str()).copied();
        let route = |place: &Placement| {
            std::iter::once(&place.owner).chain(&place.standbys).filter_map(index).collect()
        };
        let moves = (0..).zip(placements).filter_map(|(partition, place)| {
            Some((partition, place.next_owner.as_ref().and_then(index)?))
        });
        RouteTable {
            generation,
            nodes: nodes.collect(),
            routes: placements.iter().map(route).collect(),
            moves: moves.collect(),
        }
    }

    /// Encodes the table.
    ///
    /// # Errors
    /// The table is too large: the cluster has too many partitions or nodes.
    pub fn encode(&self) -> Result<Bytes, MetadataError> {
        let wire = Wire {
            version: VERSION,
            generation: self.generation,
            nodes: self.nodes.clone(),
            routes: self.routes.clone(),
            moves: self.moves.iter().map(|(&partition, &node)| (partition, node)).collect(),
        };
        let json = serde_json::to_vec(&wire).map_err(|e| MetadataError::malformed(WHAT, e))?;
        check_size(WHAT, json.len(), JSON_LIMIT)?;
        let bytes = zstd::bulk::compress(&json, LEVEL);
        let bytes = bytes.map_err(|e| MetadataError::malformed(WHAT, e))?;
        check_size(WHAT, bytes.len(), TABLE_LIMIT)?;
        Ok(bytes.into())
    }

    /// Decodes a table.
    ///
    /// # Errors
    /// The bytes are too many, not a table, or of an unknown version.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetadataError> {
        check_size(WHAT, bytes.len(), TABLE_LIMIT)?;
        let json = zstd::bulk::decompress(bytes, JSON_LIMIT);
        let json = json.map_err(|e| MetadataError::malformed(WHAT, e))?;
        check_version(WHAT, &json, VERSION)?;
        let wire: Wire =
            serde_json::from_slice(&json).map_err(|e| MetadataError::malformed(WHAT, e))?;
        wire.check()?;
        let Wire { generation, nodes, routes, moves, .. } = wire;
        Ok(RouteTable { generation, nodes, routes, moves: moves.into_iter().collect() })
    }

    /// Returns the generation of the group in which the table was made.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// Returns the number of partitions.
    pub fn partitions(&self) -> u32 {
        u32::try_from(self.routes.len()).unwrap_or(u32::MAX)
    }

    /// Returns all nodes, sorted by name.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns the node of this name, or `None` if it is not a member.
    pub fn find_node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Returns the node that should own the partition.
    pub fn owner(&self, partition: u32) -> Option<&Node> {
        self.followers(partition).next()
    }

    /// Returns the nodes that follow the partition. The first should take over.
    pub fn standbys(&self, partition: u32) -> impl Iterator<Item = &Node> {
        self.followers(partition).skip(1)
    }

    /// Returns the standby that should own the partition once its copy has caught up, or `None` if it need not move.
    ///
    /// When it has caught up, that node joins the group again, and gets the partition.
    pub fn next_owner(&self, partition: u32) -> Option<&Node> {
        self.moves.get(&partition).and_then(|&index| self.nodes.get(index as usize))
    }

    fn followers(&self, partition: u32) -> impl Iterator<Item = &Node> {
        let route = self.routes.get(partition as usize).map_or(&[][..], Vec::as_slice);
        route.iter().filter_map(|&index| self.nodes.get(index as usize))
    }
}

impl Wire {
    fn check(&self) -> Result<(), MetadataError> {
        for node in &self.nodes {
            check_name(&node.name)?;
            check_addresses(&node.url, node.kafka.as_deref())?;
        }
        if !self.nodes.is_sorted_by(|a, b| a.name < b.name) {
            return Err(MetadataError::malformed(WHAT, "the nodes are not sorted by name"));
        }
        let is_node = |&index: &u32| (index as usize) < self.nodes.len();
        let is_partition = |&index: &u32| (index as usize) < self.routes.len();
        let has_nodes = self.routes.iter().flatten().all(is_node)
            && self.moves.iter().all(|(partition, node)| is_partition(partition) && is_node(node));
        if !has_nodes {
            return Err(MetadataError::malformed(WHAT, "a route names a node that is not there"));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
