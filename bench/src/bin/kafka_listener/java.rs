//! Apache Kafka's own client, in a Java process that takes commands and stays warm.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, ensure};
use leftfold_bench::process::processor_time;

/// The program; Java compiles it when it starts.
const PROGRAM: &str = include_str!("Load.java");

/// The Java process. It ends when it is dropped.
pub(crate) struct Java {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Java {
    /// Starts the process; its program is written below a directory.
    pub(crate) fn start(home: &std::path::Path) -> anyhow::Result<Self> {
        let program = home.join("Load.java");
        std::fs::write(&program, PROGRAM)?;
        let mut java = leftfold_kafka_broker::java()?;
        java.args(["-Xms512m", "-Xmx512m"]).arg(&program);
        java.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = java.spawn().context("starting Java")?;
        let input = child.stdin.take().context("Java has no input")?;
        let output = child.stdout.take().context("Java has no output")?;
        Ok(Java { child, input, output: BufReader::new(output) })
    }

    /// Runs a command, and returns the numbers of its result.
    pub(crate) fn run(&mut self, command: &str) -> anyhow::Result<Vec<f64>> {
        writeln!(self.input, "{command}")?;
        self.input.flush()?;
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "Java ended at: {command}");
        let numbers = line.split_whitespace().map(|word| Ok(word.parse()?));
        numbers.collect::<anyhow::Result<_>>().with_context(|| format!("Java says {line}"))
    }

    /// Returns its processor time so far, in seconds.
    pub(crate) fn processor_time(&self) -> f64 {
        processor_time(&self.child.id().to_string())
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
