//! Clusters that outlive the program that started them: `cargo xtask kafka`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use leftfold_java::{entries, running_in};
use rustix::process::{Signal, kill_process};

use crate::cluster::{Cluster, Timings};
use crate::error::BrokerError;
use crate::options::Options;

/// A cluster that runs, or has run, in a directory.
#[derive(Debug, Clone)]
pub struct ClusterInfo {
    /// The brokers' addresses.
    pub bootstrap: String,
    /// Each node's directory name, and its process id if it is alive.
    pub nodes: Vec<(String, Option<i32>)>,
}

/// Starts a cluster in this directory, unless one runs there.
pub fn up(directory: &Path, options: &Options) -> Result<(String, Timings), BrokerError> {
    if find(directory).is_some_and(|found| found.nodes.iter().any(|(_, pid)| pid.is_some())) {
        return Err(BrokerError::Running(directory.to_owned()));
    }
    clear(directory)?;
    let started = Cluster::start_detached(options, directory);
    let cluster = started.inspect_err(|_| kill_all(directory))?;
    let bootstrap = cluster.bootstrap();
    let note = directory.join("bootstrap");
    fs::write(&note, &bootstrap).map_err(BrokerError::at(&note))?;
    Ok((bootstrap, cluster.timings()))
}

/// Returns the cluster in this directory, or `None` if none was started there.
pub fn find(directory: &Path) -> Option<ClusterInfo> {
    let bootstrap = fs::read_to_string(directory.join("bootstrap")).ok()?;
    let mut nodes: Vec<_> = node_directories(directory)
        .map(|node| {
            let name = node.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, running_in(&node).map(|pid| pid.as_raw_nonzero().get()))
        })
        .collect();
    nodes.sort();
    Some(ClusterInfo { bootstrap, nodes })
}

/// Ends the cluster in this directory and deletes its data.
pub fn down(directory: &Path) -> Result<(), BrokerError> {
    kill_all(directory);
    clear(directory)
}

fn node_directories(directory: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    entries(directory).into_iter().filter(|path| path.is_dir())
}

fn kill_all(directory: &Path) {
    for node in node_directories(directory) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Some(pid) = running_in(&node)
            && Instant::now() < deadline
        {
            // A failure means that the process has just ended; the loop checks again.
            _ = kill_process(pid, Signal::KILL);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn clear(directory: &Path) -> Result<(), BrokerError> {
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(BrokerError::at(directory))?;
    }
    Ok(())
}
