//! The tests that librdkafka and franz-go ship, and Spark: long, so `cargo xtask clients` and no test of
//! CI runs them.
//!
//! librdkafka's source is that inside the crate `rdkafka-sys`; franz-go's tests are in its Go module. Both
//! are fetched by their usual clients, at pinned versions.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::broker::Broker;
use crate::client::Client;
use crate::command::Produce;
use leftfold_kafka_tools::{Tool, directory, here, interpreter, run};

/// The crate with librdkafka's source.
const RDKAFKA_SYS: &str = "=4.10.0+2.12.1";
/// How many records the tests of franz-go write for each case, instead of half a million.
const FRANZ_GO_RECORDS: &str = "50000";
/// The text of its tests that is changed. A key ends with a newline there, and a key is a part of the name of
/// a stream in Leftfold, which has no control characters.
const CHANGED: [&str; 2] = [r#"", msg=%i\n","#, r#"", msg=%i","#];
const NO_COMPILER: &str = "\
    librdkafka's tests need a C and a C++ compiler and the headers of OpenSSL, zlib and curl; install \
    them (Debian and Ubuntu: apt-get install g++ make libssl-dev zlib1g-dev libcurl4-openssl-dev)";

/// The tests of librdkafka that need a server. Left out are those of transactions (0098, 0103, 0129) and
/// of compaction (0077), those of access lists (0081), those that run Kafka's shell scripts (0052, 0092,
/// 0109), need several brokers, racks or OAuth (0101, 0126, 0142), and all that bring a server of their
/// own.
pub const LIBRDKAFKA: &str = "\
    0001 0002 0003 0005 0007 0008 0011 0012 0013 0014 0015 0016 0017 0018 0019 0020 0021 0022 0026 \
    0029 0030 0031 0033 0034 0036 0037 0038 0039 0040 0041 0042 0044 0045 0046 0047 0048 0049 0050 \
    0051 0053 0054 0055 0056 0057 0060 0061 0063 0064 0065 0067 0068 0069 0070 0073 0074 0075 0076 \
    0079 0082 0083 0084 0085 0086 0088 0089 0090 0091 0093 0094 0099 0100 0102 0107 0110 0111 0112 \
    0113 0114 0116 0118 0121 0122 0123 0125 0127 0130 0132 0137 0140 1000";
/// The tests of franz-go that are left out: those of transactions and of share groups.
pub const FRANZ_GO_SKIPPED: &str = "Txn|Transact|Share";

/// The outcome of one test of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The test's name.
    pub test: String,
    /// Whether it passed, was left out by the suite itself, or failed.
    pub result: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// The suite left it out.
    Skipped,
    /// Not as it should.
    Failed,
}

fn suite(name: &str) -> PathBuf {
    directory().join(name)
}

/// Fetches and builds librdkafka's tests, unless they are there.
///
/// # Errors
/// There is no compiler, or the crate can't be fetched.
pub fn prepare_librdkafka() -> anyhow::Result<()> {
    let place = suite("librdkafka");
    let pins = format!("{RDKAFKA_SYS}\n{}", CHANGED.join("\n"));
    if fs::read_to_string(place.join("pins")).is_ok_and(|found| found == pins) {
        return Ok(());
    }
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(place.join("src"))?;
    fs::write(place.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"fetched\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         rdkafka-sys = {{ version = \"{RDKAFKA_SYS}\", default-features = false }}\n"
    );
    fs::write(place.join("Cargo.toml"), manifest)?;
    let sources = librdkafka_sources(&place)?;
    let source = place.join("source");
    let copy = [sources.as_os_str(), source.as_os_str()];
    run(Command::new("cp").arg("-r").args(copy), "the source can't be copied")?;
    let file = source.join("tests/test.c");
    let text = fs::read_to_string(&file)?;
    ensure!(text.contains(CHANGED[0]), "the keys of librdkafka's tests look different");
    fs::write(&file, text.replacen(CHANGED[0], CHANGED[1], 1))?;
    let steps: [&[&str]; 3] = [
        &["./configure", "--disable-gssapi", "--disable-lz4-ext"],
        &["make", "--jobs=2", "libs"],
        &["make", "--jobs=2", "-C", "tests", "test-runner"],
    ];
    for step in steps {
        let (program, arguments) = step.split_first().context("no program")?;
        run(Command::new(program).args(arguments).current_dir(&source), NO_COMPILER)?;
    }
    fs::write(place.join("pins"), pins)?;
    Ok(())
}

/// Lets cargo fetch the crate; returns the directory with librdkafka's source in it.
fn librdkafka_sources(place: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--format-version", "1", "--quiet"]).current_dir(place);
    let output = metadata.output().context("starting cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut packages = metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
    let found = packages.find(|package| package["name"] == "rdkafka-sys");
    let manifest = found.and_then(|package| package["manifest_path"].as_str());
    let manifest = Path::new(manifest.context("cargo did not fetch rdkafka-sys")?);
    Ok(manifest.with_file_name("librdkafka"))
}

/// How many tests of librdkafka run at once: most of them wait.
const AT_ONCE: usize = 3;

/// Runs tests of librdkafka, named by their numbers; returns their outcomes in the order of their ends.
///
/// # Errors
/// They can't be built or started.
pub fn librdkafka_tests(
    bootstrap: &str,
    numbers: &str,
    patience: Duration,
) -> anyhow::Result<Vec<Outcome>> {
    prepare_librdkafka()?;
    let numbers = Mutex::new(numbers.split_whitespace());
    let next = || numbers.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work =
        || std::iter::from_fn(next).map(|one| librdkafka(bootstrap, one, patience)).collect();
    std::thread::scope(|threads| {
        let all: Vec<_> = (0..AT_ONCE).map(|_| threads.spawn(work)).collect();
        let mut outcomes = Vec::new();
        for thread in all {
            let found: anyhow::Result<Vec<Outcome>> =
                thread.join().unwrap_or_else(|_| bail!("a thread panicked"));
            outcomes.extend(found?);
        }
        Ok(outcomes)
    })
}

/// Prints outcomes, and checks that only the tests that are named failed, and that each of these failed:
/// what passes from now on must be noticed, too.
///
/// # Errors
/// Another test failed, or one passed that was expected to fail.
pub fn check_outcomes(outcomes: &[Outcome], failing: &[&str]) -> anyhow::Result<()> {
    for Outcome { test, result, took } in outcomes {
        println!("{:>6.1} s {result:?} {test}", took.as_secs_f32());
    }
    let count = |verdict| outcomes.iter().filter(|outcome| outcome.result == verdict).count();
    let counts = [Verdict::Passed, Verdict::Skipped, Verdict::Failed].map(count);
    println!("{} passed, {} left out, {} failed", counts[0], counts[1], counts[2]);
    let is_expected = |outcome: &Outcome| failing.contains(&&*outcome.test);
    let named = |is: &dyn Fn(&Outcome) -> bool| -> Vec<&str> {
        outcomes.iter().filter(|outcome| is(outcome)).map(|outcome| &*outcome.test).collect()
    };
    let failed = named(&|one| one.result == Verdict::Failed && !is_expected(one));
    let passed = named(&|one| one.result == Verdict::Passed && is_expected(one));
    ensure!(failed.is_empty(), "failed: {failed:?}");
    ensure!(passed.is_empty(), "passed, although they are listed as failing: {passed:?}");
    Ok(())
}

/// Runs one test of librdkafka, named by its number such as `0012`.
fn librdkafka(bootstrap: &str, number: &str, patience: Duration) -> anyhow::Result<Outcome> {
    let tests = suite("librdkafka").join("source/tests");
    // The runner reads its settings from the directory that it runs in.
    let place = suite("librdkafka").join(format!("run-{number}"));
    fs::create_dir_all(&place)?;
    let settings = format!(
        "bootstrap.servers={bootstrap}\ntest.topic.random=true\nallow.auto.create.topics=true\n"
    );
    fs::write(place.join("test.conf"), settings)?;
    let libraries = [suite("librdkafka").join("source/src"), tests.join("../src-cpp")];
    let libraries = std::env::join_paths(libraries)?;
    let mut runner = Command::new("timeout");
    runner.args(["--kill-after=5", &patience.as_secs().to_string()]);
    // -Q: the quick variant; -p1: one test at a time.
    runner.arg(tests.join("test-runner")).args(["-Q", "-p1"]).current_dir(&place);
    runner.env("TESTS", number).env("LD_LIBRARY_PATH", libraries);
    runner.env("RDKAFKA_TEST_CONF", place.join("test.conf"));
    let log = File::create(place.join("log"))?;
    runner.stdout(log.try_clone()?).stderr(log);
    let started = Instant::now();
    let status = runner.status().context("starting librdkafka's tests")?;
    let printed = String::from_utf8_lossy(&fs::read(place.join("log"))?).into_owned();
    let result = match status.success() {
        true if is_skipped(&printed, number) => Verdict::Skipped,
        true => Verdict::Passed,
        false => Verdict::Failed,
    };
    Ok(Outcome { test: number.to_owned(), result, took: started.elapsed() })
}

/// Whether the table at the end of the output says that the test was left out. Parts of it have lines of
/// their own.
fn is_skipped(printed: &str, number: &str) -> bool {
    let has = |word| printed.lines().any(|line| line.contains(number) && line.contains(word));
    has("SKIPPED |") && !has("PASSED |")
}

/// Runs the tests of franz-go whose names match one expression and not the other; returns their outcomes.
///
/// # Errors
/// Go or the module are missing, or the output can't be read.
pub fn franz_go(
    bootstrap: &str,
    [wanted, unwanted]: [&str; 2],
    patience: Duration,
) -> anyhow::Result<Vec<Outcome>> {
    Tool::Go.prepare()?;
    let mut list = Command::new("go");
    list.args(["list", "-m", "-f", "{{.Dir}}", "github.com/twmb/franz-go"]);
    let output = list.current_dir(here().join("go")).output().context("starting go")?;
    let module = String::from_utf8(output.stdout)?;
    ensure!(output.status.success() && !module.trim().is_empty(), "go does not find franz-go");
    let mut test = Command::new("go");
    test.args(["test", "-json", "-count=1", "-run", wanted, "-skip", unwanted, "-timeout"]);
    test.arg(format!("{}s", patience.as_secs())).arg("./pkg/kgo");
    test.current_dir(module.trim()).env("KGO_SEEDS", bootstrap).env("KGO_TEST_RF", "1");
    test.env("KGO_TEST_RECORDS", FRANZ_GO_RECORDS).env("GOTOOLCHAIN", "local");
    // A file shows how far it has come.
    let log = directory().join("franz-go.log");
    let file = File::create(&log)?;
    test.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    test.status().context("starting go")?;
    let outcomes = outcomes(&String::from_utf8_lossy(&fs::read(&log)?));
    ensure!(!outcomes.is_empty(), "no test ran: {}", log.display());
    Ok(outcomes)
}

/// Reads the output of `go test -json`. A test within a test belongs to that.
fn outcomes(output: &str) -> Vec<Outcome> {
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| outcome(&line)).collect()
}

fn outcome(line: &Value) -> Option<Outcome> {
    let result = match line.get("Action")?.as_str()? {
        "pass" => Verdict::Passed,
        "skip" => Verdict::Skipped,
        "fail" => Verdict::Failed,
        _ => return None,
    };
    let test = line.get("Test")?.as_str().filter(|test| !test.contains('/'))?.to_owned();
    let took = line.get("Elapsed")?.as_f64()?;
    Some(Outcome { test, result, took: Duration::try_from_secs_f64(took).unwrap_or_default() })
}

/// The sum and the count of the numbers of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// The sum of the numbers.
    pub sum: u64,
    /// The number of records.
    pub count: u64,
}

/// Lets Spark sum a topic: as a batch, and as a stream that ends with the last record.
///
/// # Errors
/// Spark can't be installed, fails or takes too long.
pub fn spark(bootstrap: &str, topic: &str, patience: Duration) -> anyhow::Result<[Total; 2]> {
    Tool::Spark.prepare()?;
    let mut spark = Command::new("timeout");
    spark.args(["--kill-after=5", &patience.as_secs().to_string()]);
    spark.arg(interpreter(Tool::Spark)).arg(here().join("spark/sum.py"));
    spark.args(["--bootstrap", bootstrap, "--jars"]).arg(Tool::Spark.directory().join("jars"));
    let output = spark.arg(topic).output().context("starting Spark")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let totals: Vec<Total> = printed.lines().filter_map(total).collect();
    match totals.try_into() {
        Ok(totals) if output.status.success() => Ok(totals),
        _ => bail!("Spark failed: {printed}\n{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Writes 10,000 records and lets Spark sum them.
///
/// # Errors
/// Spark finds another sum, as a batch or as a stream; or as [`spark`].
pub fn sums_a_topic(broker: &dyn Broker) -> anyhow::Result<()> {
    let (count, limit) = (10_000, Duration::from_secs(240));
    let command = crate::Command::Produce(Produce::new("spark", 0, count));
    Client::Confluent.start(broker, &command, limit)?.finish(limit)?;
    let total = Total { sum: (0..count).sum(), count };
    let found = spark(&broker.bootstrap(), "spark", limit)?;
    ensure!(found == [total; 2], "expected {total:?}, found {found:?}");
    Ok(())
}

fn total(line: &str) -> Option<Total> {
    let line: Value = serde_json::from_str(line).ok()?;
    Some(Total { sum: line.get("sum")?.as_u64()?, count: line.get("count")?.as_u64()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_outcomes_of_tests_in_go() {
        let output = r#"{"Action":"run","Test":"TestA"}
{"Action":"pass","Test":"TestA/inner","Elapsed":1}
{"Action":"pass","Test":"TestA","Elapsed":1.5}
{"Action":"fail","Test":"TestB","Elapsed":0}
{"Action":"fail","Elapsed":2}
ok"#;
        let found: Vec<_> =
            outcomes(output).into_iter().map(|outcome| (outcome.test, outcome.result)).collect();
        let expected = [("TestA", Verdict::Passed), ("TestB", Verdict::Failed)];
        assert_eq!(found, expected.map(|(test, result)| (test.to_owned(), result)));
    }

    #[test]
    fn reads_the_table_of_librdkafka() {
        let table = "| <MAIN> | PASSED | 0.0s |\n| 0028_long_topicnames | SKIPPED | 0.0s |";
        assert!(is_skipped(table, "0028") && !is_skipped(table, "0012"));
        let table = "| 0102_static | PASSED | 9.0s |\n| 0102_static_mock | SKIPPED | 0.0s |";
        assert!(!is_skipped(table, "0102"));
    }

    #[test]
    fn reads_the_totals_of_spark() {
        assert_eq!(total(r#"{"sum": 3, "count": 2}"#), Some(Total { sum: 3, count: 2 }));
        assert_eq!(total("[Stage 0:>"), None);
    }
}
